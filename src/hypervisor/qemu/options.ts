import type {FirmwareConfig} from '../../model/vm.ts'

export interface QemuOptions {
  /** Where the verdicts on accelerators and the lock of the addresses are kept. */
  readonly stateDirectory: string
  /** Accelerators to try, before what a VMFile says (VMCTL_ACCEL). */
  readonly accelerators?: readonly string[] | undefined
  /** Lease files of DHCP servers on the host, besides the usual ones (VMCTL_LEASES). */
  readonly leaseFiles?: readonly string[] | undefined
  /** The program of VMs whose spec names none (VMCTL_QEMU). */
  readonly binary?: string | undefined
  /** The firmware of VMs whose spec names none (VMCTL_OVMF_CODE, VMCTL_OVMF_VARS). */
  readonly firmware?: Pick<FirmwareConfig, 'code' | 'vars'> | undefined
}

import type {ForwardedPort} from '../../model/port.ts'
import type {FirmwarePair} from './firmware.ts'
import type {VirtiofsSockets} from './virtiofsd.ts'

export interface LaunchFacts {
  readonly accelerator: string
  readonly macAddress: string
  readonly sshPort?: number | undefined
  readonly ports?: readonly ForwardedPort[] | undefined
  readonly firmware?: FirmwarePair | undefined
  /** Folders that are served by virtiofs. */
  readonly sockets?: VirtiofsSockets | undefined
  /** Whether seed.iso exists and is to be shown to the guest. */
  readonly seed: boolean
  /** Whether the guest's memory comes from elsewhere: QEMU waits for it, and then stands still. */
  readonly incoming?: boolean | undefined
  /** Whether the disk is a raw file of its own, and no overlay. */
  readonly isWhole?: boolean
}

import {constants} from 'node:fs'
import {access, readFile} from 'node:fs/promises'
import {join} from 'node:path'

import {listPciDevices, type PciDeviceInfo, sysfs} from '../../host/pci.ts'
import type {PciDevice} from '../../model/device.ts'
import {VmctlError} from '../../model/errors.ts'
import type {VmSpec} from '../../model/vm.ts'

export interface PciHost {
  /** Where sysfs, /dev/vfio and /proc are; other places for tests. */
  readonly sysfs: string
  readonly vfio: string
  readonly limits: string
}

const thisComputer: PciHost = {sysfs, vfio: '/dev/vfio', limits: '/proc/self/limits'}

/** Bridges of a group stay with the kernel (Linux, Documentation/driver-api/vfio.rst). */
const isBridge = ({classCode}: PciDeviceInfo): boolean => classCode >> 16 === 0x06

/**
 * Checks what VFIO needs before anything is made: the devices exist, are bound to vfio-pci with their whole IOMMU group, may be
 * opened, and the guest's memory may be locked.
 * @throws VmctlError `vmctl::device::unavailable` that names the device, what is wrong and how it is put right
 */
export const checkDevices = async (spec: Pick<VmSpec, 'devices' | 'memoryMiB'>, host: PciHost = thisComputer): Promise<void> => {
  const {devices = []} = spec
  if (devices.length === 0) return
  const all = await listPciDevices(host.sysfs)
  for (const {address} of devices) await checkDevice(address, {all, host})
  await checkLockedMemory(spec.memoryMiB, host)
}

const refuse = (message: string, help: string): never => {
  throw new VmctlError('vmctl::device::unavailable', message, {help})
}

const checkDevice = async (address: string, {all, host}: {all: readonly PciDeviceInfo[]; host: PciHost}): Promise<void> => {
  const device = all.find((one) => one.address === address)
  if (!device) return refuse(`There is no PCI device ${address} on the host.`, 'Run `vmctl devices` to see the devices that exist.')
  const {iommuGroup} = device
  if (iommuGroup === undefined) {
    return refuse(
      `The PCI device ${address} has no IOMMU group: the IOMMU is off, or there is none.`,
      'Turn VT-d or AMD-Vi on in the firmware, and boot the kernel with intel_iommu=on (Intel).',
    )
  }
  const group = all.filter((one) => one.iommuGroup === iommuGroup && !isBridge(one))
  for (const member of group) {
    // A member without a driver is harmless; the device itself must have the one of VFIO.
    const isBound = member.driver === 'vfio-pci' || (member.driver === undefined && member.address !== address)
    if (isBound) continue
    const whose = member.address === address ? '' : `, which shares the IOMMU group ${iommuGroup} with ${address},`
    return refuse(
      `The PCI device ${member.address}${whose} is ${member.driver === undefined ? 'not bound to a driver' : `in use by ${member.driver}`}.`,
      `Bind it to vfio-pci: \`sudo driverctl set-override ${member.address} vfio-pci\`, or vfio-pci.ids=${member.vendor}:${member.device} on the kernel command line.`,
    )
  }
  const node = join(host.vfio, iommuGroup)
  const mayOpen = await access(node, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  )
  if (!mayOpen)
    return refuse(`${node} of the PCI device ${address} may not be opened.`, `Give yourself access: \`sudo chown $USER ${node}\`.`)
}

/** VFIO pins all of the guest's memory; QEMU adds some for the device's own regions. */
const overheadMiB = 256

const checkLockedMemory = async (memoryMiB: number, host: PciHost): Promise<void> => {
  const limits = await readFile(host.limits, 'utf8').catch(() => '')
  const [, soft] = /^Max locked memory\s+(\S+)/m.exec(limits) ?? []
  if (soft === undefined || soft === 'unlimited' || process.getuid?.() === 0) return
  const neededMiB = memoryMiB + overheadMiB
  if (Number(soft) >= neededMiB * 2 ** 20) return
  refuse(
    `A VM with PCI devices needs ${neededMiB} MiB of locked memory; this process may lock ${Math.floor(Number(soft) / 2 ** 20)} MiB.`,
    'Raise the limit: `memlock` in /etc/security/limits.conf, or LimitMEMLOCK= of the systemd unit; then log in again.',
  )
}

/** The arguments for devices that `checkDevices` has found good. */
export const deviceArguments = (devices: readonly PciDevice[]): string[] =>
  devices.flatMap(({address, romFile}) => [
    '-device',
    JSON.stringify({driver: 'vfio-pci', host: address, ...(romFile !== undefined && {romfile: romFile})}),
  ])

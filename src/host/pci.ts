import {readdir, readFile, readlink} from 'node:fs/promises'
import {basename, join} from 'node:path'

/** A PCI device as the kernel shows it in sysfs (Linux, Documentation/ABI/testing/sysfs-bus-pci). */
export interface PciDeviceInfo {
  /** `0000:01:00.0` */
  readonly address: string
  /** Base class, subclass and interface, 24 bits: 0x030000 is a VGA controller. */
  readonly classCode: number
  /** Hex, without 0x. */
  readonly vendor: string
  readonly device: string
  /** Absent when no driver has it. */
  readonly driver?: string
  /** Absent when there is no IOMMU, or it is off. */
  readonly iommuGroup?: string
}

/** Where the kernel shows devices. */
export const sysfs = '/sys'

/** All PCI devices, sorted by address; none where there is no PCI bus. */
export const listPciDevices = async (root = sysfs): Promise<readonly PciDeviceInfo[]> => {
  const addresses = await readdir(join(root, 'bus/pci/devices')).catch(() => [])
  const devices = await Promise.all(addresses.toSorted((a, b) => (a < b ? -1 : 1)).map((address) => readPciDevice(address, root)))
  return devices.filter((device) => device !== undefined)
}

/** One device; undefined when there is none at that address. */
export const readPciDevice = async (address: string, root = sysfs): Promise<PciDeviceInfo | undefined> => {
  const directory = join(root, 'bus/pci/devices', address)
  const read = async (name: string): Promise<string | undefined> =>
    (await readFile(join(directory, name), 'utf8').catch(() => undefined))?.trim()
  const link = async (name: string): Promise<string | undefined> => {
    const target = await readlink(join(directory, name)).catch(() => undefined)
    return target === undefined ? undefined : basename(target)
  }
  const [classCode, vendor, device, driver, iommuGroup] = await Promise.all([
    read('class'),
    read('vendor'),
    read('device'),
    link('driver'),
    link('iommu_group'),
  ])
  if (classCode === undefined) return undefined
  return {
    address,
    classCode: Number.parseInt(classCode, 16),
    vendor: vendor?.replace(/^0x/, '') ?? '????',
    device: device?.replace(/^0x/, '') ?? '????',
    ...(driver !== undefined && {driver}),
    ...(iommuGroup !== undefined && {iommuGroup}),
  }
}

/** Where distributions keep the names of vendors and devices. */
const nameFiles = ['/usr/share/misc/pci.ids', '/usr/share/hwdata/pci.ids']

/** Names by `vendor` and by `vendor:device` (pci.ids(5)); empty when the list is not installed. */
export const readPciNames = async (paths: readonly string[] = nameFiles): Promise<ReadonlyMap<string, string>> => {
  const names = new Map<string, string>()
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch(() => '')
    let vendor = ''
    for (const line of text.split('\n')) {
      // Device classes follow on the vendors.
      if (line.startsWith('C ')) break
      const [, tab, id, name] = /^(\t?)([0-9a-f]{4}) {2}(.+)$/.exec(line) ?? []
      if (id === undefined || name === undefined) continue
      if (tab === '') vendor = id
      names.set(tab === '' ? id : `${vendor}:${id}`, name)
    }
    if (names.size > 0) break
  }
  return names
}

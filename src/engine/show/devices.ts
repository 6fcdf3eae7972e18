import {listPciDevices, type PciDeviceInfo, readPciNames, sysfs} from '../../host/pci.ts'
import {stripControls} from '../../model/strip.ts'

/** A PCI device of the host; the `--json` shape of `vmctl devices`. */
export interface HostDevice extends PciDeviceInfo {
  /** `NVIDIA Corporation GA102`, or the numbers when the list of names is not installed. */
  readonly name: string
  /** What it is for: `display`, `network`. */
  readonly kind: string
  /** Whether a VM can have it as it is now: bound to vfio-pci, in an IOMMU group. */
  readonly ready: boolean
}

/** Base classes of PCI (PCI Code and ID Assignment Specification). */
const kinds: Readonly<Record<number, string>> = {
  1: 'storage',
  2: 'network',
  3: 'display',
  4: 'multimedia',
  5: 'memory',
  6: 'bridge',
  8: 'system',
  9: 'input',
  12: 'serial bus',
  13: 'wireless',
  16: 'encryption',
  18: 'accelerator',
}

const display = 3

/**
 * The PCI devices of the host.
 * @param gpu only display controllers, and what else is on the same card (its audio, USB)
 */
export const listDevices = async ({gpu, root = sysfs}: {gpu: boolean; root?: string}): Promise<readonly HostDevice[]> => {
  const [devices, names] = await Promise.all([listPciDevices(root), readPciNames()])
  const slot = ({address}: PciDeviceInfo): string => address.replace(/\.\d$/, '')
  const cards = new Set(devices.filter(({classCode}) => classCode >> 16 === display).map(slot))
  return devices
    .filter((device) => !gpu || cards.has(slot(device)))
    .map((device) => {
      const {vendor, device: id, classCode, driver, iommuGroup} = device
      const known = [names.get(vendor), names.get(`${vendor}:${id}`)].filter((name) => name !== undefined)
      return {
        ...device,
        name: stripControls(known.join(' ')) || `${vendor}:${id}`,
        kind: kinds[classCode >> 16] ?? 'other',
        ready: driver === 'vfio-pci' && iommuGroup !== undefined,
      }
    })
}

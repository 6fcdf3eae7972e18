import type {PciDevice} from '../../model/device.ts'
import {always, listOf} from '../grammar/change.ts'
import {pciAddress} from '../grammar/kinds-network.ts'
import {path, word} from '../grammar/kinds.ts'
import {block, field, type Read, required} from '../grammar/shapes.ts'
import {type Context, optional, resolveExisting} from '../resolve/context.ts'
import {refuseTwice} from './mounting.ts'

export const deviceNode = block(
  'A device of the host that the VM gets for itself.',
  {argument: required(word('device type', 'pci'), 'Kind of device.'), positional: ['address'], repeatable: true},
  {
    address: required(pciAddress, 'PCI address, as lspci prints it.'),
    'rom-file': field(path('"vbios.rom"'), 'Image of its expansion ROM.'),
  },
)

type ReadDevice = Read<typeof deviceNode>[number]

/** The devices of the host that a VM gets. Whether they are there is the business of `up` and `doctor`. */
export const buildDevices = async (nodes: readonly ReadDevice[], context: Context): Promise<readonly PciDevice[]> => {
  refuseTwice(
    nodes.flatMap(({fields: {address}}) => (address ? [address] : [])),
    (address) => `the device ${address} is given twice`,
    context.report,
  )
  return Promise.all(
    nodes.map(async ({fields: {address, 'rom-file': romFile}}) => ({
      address: address?.value ?? '',
      ...optional('romFile', romFile && (await resolveExisting(romFile, 'ROM file', context))),
    })),
  )
}

export const devicesChange = always<'devices'>(
  'restart',
  listOf('device', ({address}) => address),
)

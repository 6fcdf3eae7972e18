import {Flags} from '@oclif/core'

import {VmctlCommand} from '../cli/base-command.ts'
import {stateStyle} from '../cli/state-style.ts'
import {type Column, listing} from '../cli/table.ts'
import type {HostDevice} from '../engine/show/devices.ts'

const columns: readonly Column[] = [
  {title: 'ADDRESS'},
  {title: 'GROUP', align: 'right', spare: 2},
  {title: 'KIND', spare: 3},
  {title: 'DRIVER', spare: 1},
  {title: 'READY', style: stateStyle},
  {title: 'NAME', long: 'wrap'},
]

export default class Devices extends VmctlCommand {
  static override summary = 'List PCI devices of the host, and whether VMs can use them.'
  static override description =
    'A device is ready for `device "pci"` when it is bound to vfio-pci and in an IOMMU group, together with all other devices of that group.'
  static override examples = ['<%= config.bin %> <%= command.id %> --gpu']
  static override flags = {gpu: Flags.boolean({summary: 'Only graphics cards, with everything that is on them.'})}

  async run(): Promise<{readonly devices: readonly HostDevice[]}> {
    const {flags} = await this.parse(Devices)
    const {listDevices} = await import('../engine/show/devices.ts')
    const devices = await listDevices({gpu: flags.gpu})
    const rows = devices.map(({address, iommuGroup = '-', kind, driver = '-', ready, name}) => [
      address,
      iommuGroup,
      kind,
      driver,
      ready ? 'yes' : 'no',
      name,
    ])
    this.log(listing(columns, rows, {empty: 'This host shows no PCI devices.'}))
    return {devices}
  }
}

import {VmctlCommand} from '../../cli/base-command.ts'
import {stateStyle} from '../../cli/state-style.ts'
import {type Column, listing} from '../../cli/table.ts'
import type {NetworkStatus} from '../../engine/resources/network-list.ts'

const columns: readonly Column[] = [
  {title: 'NETWORK'},
  {title: 'DRIVER', spare: 1},
  {title: 'SUBNET', spare: 2},
  {title: 'STATE', long: 'wrap', style: stateStyle},
  {title: 'VMS', long: 'wrap', spare: 3},
]

export default class NetworkLs extends VmctlCommand {
  static override aliases = ['network:list']
  static override summary = 'List the networks between VMs.'
  static override description =
    'A network exists from the first `up` that needs it until its last VM is destroyed. It is up while a VM of it runs: the hub of a mesh, or the bridge.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly networks: readonly NetworkStatus[]}> {
    const {flags} = await this.parse(NetworkLs)
    const engine = await this.openEngine(flags)
    const {listNetworks} = await import('../../engine/resources/network-list.ts')
    const {networks, problems} = await listNetworks(engine)
    for (const problem of problems) this.warn(problem)
    const rows = networks.map(({id, driver, subnet, isUp, missing, members}) => [
      id,
      driver,
      subnet ?? '-',
      `${isUp ? 'up' : 'down'}${missing === undefined ? '' : `, without its ${missing}`}`,
      members
        .filter(({exists}) => exists)
        .map(({vm, ip}) => (ip === undefined ? vm : `${vm} ${ip}`))
        .join(', ') || '-',
    ])
    this.log(listing(columns, rows, {empty: 'No networks. The first `vmctl up` that needs one makes it: `network` in a VMFile.'}))
    return {networks}
  }
}

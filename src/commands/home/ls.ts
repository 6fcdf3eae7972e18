import {VmctlCommand} from '../../cli/base-command.ts'
import {type Column, listing} from '../../cli/table.ts'
import type {Home} from '../../engine/homes.ts'

const columns: readonly Column[] = [
  {title: 'HOME'},
  {title: 'PROJECT', spare: 2},
  {title: 'ADDRESSES', long: 'wrap'},
  {title: 'CERTIFICATE', spare: 1},
]

const shortFingerprint = 12

export default class HomeLs extends VmctlCommand {
  static override aliases = ['home:list']
  static override summary = 'List the homes: Incus servers that VMs can live on.'
  static override description = 'Nothing is asked of the servers; `vmctl doctor --home NAME` does that.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly homes: readonly Home[]}> {
    const {flags} = await this.parse(HomeLs)
    const engine = await this.openEngine(flags)
    const {listHomes} = await import('../../engine/manage/homes.ts')
    const {homes, problems} = await listHomes(engine)
    for (const problem of problems) this.warn(problem)
    const rows = homes.map(({name, addresses, fingerprint, project}) => [
      name,
      project ?? 'default',
      addresses.join(', '),
      fingerprint?.slice(0, shortFingerprint) ?? '-',
    ])
    this.log(listing(columns, rows, {empty: 'No homes: VMs live on this host. `vmctl home add` makes an Incus server one.'}))
    return {homes}
  }
}

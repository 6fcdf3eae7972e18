import {VmctlCommand} from '../cli/base-command.ts'
import {listColumns, listRow} from '../cli/list-table.ts'
import {listing} from '../cli/table.ts'
import {noVms} from '../cli/vm-words.ts'
import type {VmSummary} from '../engine/show/inspect.ts'

export default class List extends VmctlCommand {
  static override aliases = ['ls']
  static override summary = 'List your VMs.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly vms: readonly VmSummary[]}> {
    const {flags} = await this.parse(List)
    const engine = await this.openEngine(flags)
    const {list} = await import('../engine/show/inspect.ts')
    const vms = await list(engine)
    this.log(listing(listColumns, vms.map(listRow), {empty: noVms}))
    for (const {name, error, pause} of vms) {
      const problem = error ?? pause
      if (problem !== undefined) this.tell(`Warning: ${name}: ${problem}`)
    }
    return {vms}
  }
}

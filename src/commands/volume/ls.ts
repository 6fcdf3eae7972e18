import {VmctlCommand} from '../../cli/base-command.ts'
import {table} from '../../cli/table.ts'
import type {VolumeSummary} from '../../engine/resources/volumes.ts'
import {formatSize} from '../../model/quantity.ts'

export default class VolumeLs extends VmctlCommand {
  static override aliases = ['volume:list']
  static override summary = 'List the volumes.'
  static override description = 'SIZE is what the guest sees, USED what the volume takes on the host.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly volumes: readonly VolumeSummary[]}> {
    const {flags} = await this.parse(VolumeLs)
    const engine = await this.openEngine(flags)
    const {volumes} = await import('../../engine/resources/volumes.ts')
    const all = await volumes(engine)
    const rows = all.map(({id, filesystem, sizeBytes, allocatedBytes, users}) => [
      id,
      filesystem,
      formatSize(sizeBytes),
      formatSize(allocatedBytes),
      users.map(({vm}) => vm).join(', ') || '-',
    ])
    this.log(rows.length === 0 ? 'No volumes.' : table(['NAME', 'FILESYSTEM', 'SIZE', 'USED', 'VMS'], rows))
    return {volumes: all}
  }
}

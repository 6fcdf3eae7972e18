import {VmctlCommand} from '../../cli/base-command.ts'
import {type Column, listing} from '../../cli/table.ts'
import type {VolumeSummary} from '../../engine/resources/volumes.ts'
import {formatSize} from '../../model/quantity.ts'

const columns: readonly Column[] = [
  {title: 'NAME'},
  {title: 'FILESYSTEM', spare: 1},
  {title: 'SIZE', align: 'right'},
  {title: 'USED', align: 'right', spare: 2},
  {title: 'VMS', long: 'wrap', spare: 3},
]

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
    this.log(listing(columns, rows, {empty: 'No volumes. The first `vmctl up` that needs one makes it: `volume` in a VMFile.'}))
    return {volumes: all}
  }
}

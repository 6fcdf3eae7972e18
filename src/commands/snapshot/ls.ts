import * as Args from '@oclif/core/args'

import {file} from '../../cli/flags.ts'
import {type Column, listing} from '../../cli/table.ts'
import {VmfileCommand} from '../../cli/vmfile-command.ts'
import type {SnapshotSummary} from '../../engine/snapshot/list.ts'
import {formatAge, formatSize} from '../../model/quantity.ts'

const columns: readonly Column[] = [
  {title: 'NAME'},
  {title: 'VMS', long: 'wrap', spare: 3},
  {title: 'MADE', spare: 2},
  {title: 'MEMORY', spare: 1},
  {title: 'SIZE', align: 'right'},
]

export default class SnapshotLs extends VmfileCommand {
  static override aliases = ['snapshot:list']
  static override summary = 'List the snapshots.'
  static override description =
    'All of them, or those of some VMs. MEMORY says whether the guests go on where they were, or boot. SIZE is what a snapshot takes on the host: what was written before it, since the snapshot before that one, and memory.'
  static override args = {names: Args.string({multiple: true, description: 'Names of VMs, of services or of a project.'})}
  static override flags = {file}
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> web --json']

  async run(): Promise<{readonly snapshots: readonly SnapshotSummary[]}> {
    const {args, flags} = await this.parse(SnapshotLs)
    const engine = await this.openEngine(flags)
    const {snapshots} = await import('../../engine/snapshot/list.ts')
    const {names = []} = args
    const all = await snapshots(engine, names.length === 0 ? [] : await this.createdVms(engine, names, flags.file))
    const rows = all.map(({name, createdAt, vms, bytes}) => [
      name,
      vms.map((vm) => vm.name).join(', '),
      `${formatAge(Date.now() - Date.parse(createdAt))} ago`,
      vms.every(({hasMemory}) => hasMemory) ? 'yes' : vms.some(({hasMemory}) => hasMemory) ? 'some' : 'no',
      formatSize(bytes),
    ])
    this.log(listing(columns, rows, {empty: 'No snapshots. `vmctl snapshot create NAME` makes one of the VMs of the VMFile.'}))
    return {snapshots: all}
  }
}

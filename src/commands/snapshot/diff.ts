import {file} from '../../cli/flags.ts'
import {SnapshotCommand, snapshotArguments} from '../../cli/snapshot-command.ts'
import {type Column, listing} from '../../cli/table.ts'
import type {DiskChange} from '../../engine/snapshot/list.ts'
import {formatSize} from '../../model/quantity.ts'

const columns: readonly Column[] = [{title: 'VM'}, {title: 'DISK', spare: 1}, {title: 'WRITTEN SINCE', align: 'right'}]

export default class SnapshotDiff extends SnapshotCommand {
  static override summary = 'Show how much was written since a snapshot.'
  static override description =
    'What a restore would lose. Counts what the disks have taken on the host since, not what differs in the guest. A dash stands for a disk that has been put back to an earlier snapshot meanwhile.'
  static override args = snapshotArguments
  static override flags = {file}
  static override examples = ['<%= config.bin %> <%= command.id %> before-upgrade']

  async run(): Promise<{readonly snapshot: string; readonly disks: readonly DiskChange[]}> {
    const {args, flags} = await this.parse(SnapshotDiff)
    const engine = await this.openEngine(flags)
    const {changesSince} = await import('../../engine/snapshot/list.ts')
    const disks = await changesSince(engine, await this.wanted(engine, args, flags.file))
    const rows = disks.map(({vm, disk, bytes}) => [vm, disk, bytes === undefined ? '-' : formatSize(bytes)])
    this.log(listing(columns, rows, {empty: `The VMs of ${args.snapshot} have no disks.`}))
    return {snapshot: args.snapshot, disks}
  }
}

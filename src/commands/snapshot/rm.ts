import * as flags from '../../cli/flags.ts'
import {SnapshotCommand, snapshotArguments} from '../../cli/snapshot-command.ts'
import type {RemovedSnapshot} from '../../engine/snapshot/remove.ts'

export default class SnapshotRm extends SnapshotCommand {
  static override summary = 'Remove a snapshot. The VMs stay as they are.'
  static override description =
    'It is removed of all of its VMs. What is on the disks of a VM that runs is merged when it is at rest: by the next command about snapshots.'
  static override args = snapshotArguments
  static override flags = {...flags.locking, file: flags.file}
  static override examples = ['<%= config.bin %> <%= command.id %> before-upgrade']

  async run(): Promise<RemovedSnapshot> {
    const {args, flags: given} = await this.parse(SnapshotRm)
    const engine = await this.openEngine(given)
    const {removeSnapshot} = await import('../../engine/snapshot/remove.ts')
    const removed = await removeSnapshot(engine, await this.wanted(engine, args, given.file))
    this.log(`${removed.name}: removed of ${removed.vms.join(', ')}`)
    if (removed.waiting.length > 0) {
      this.tell(
        `Its layers stay on the disks of ${removed.waiting.join(', ')} for now; the next \`vmctl snapshot\` of a stopped VM that can merge them does.`,
      )
    }
    return removed
  }
}

import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import * as flags from '../../cli/flags.ts'
import {VmfileCommand} from '../../cli/vmfile-command.ts'
import type {SnapshotSummary} from '../../engine/snapshot/list.ts'
import {formatDuration, formatSize} from '../../model/quantity.ts'

export default class SnapshotCreate extends VmfileCommand {
  static override summary = 'Keep a moment of VMs, to which they can be put back.'
  static override description =
    'Keeps the disks, the volumes that the VMs may write to, and the memory of guests that run: all of them as they are at one instant, at which the guests stand still for a moment. VMs need not be stopped.'
  static override args = {
    snapshot: Args.string({description: 'What to call it.', required: true}),
    ...flags.existingVms,
  }
  static override flags = {
    ...flags.locking,
    file: flags.file,
    'disk-only': Flags.boolean({summary: 'Leave out the memory: guests boot from the disks when they are put back.'}),
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> before-upgrade',
    '<%= config.bin %> <%= command.id %> before-upgrade web db --disk-only',
  ]

  async run(): Promise<SnapshotSummary> {
    const {args, flags: given} = await this.parse(SnapshotCreate)
    const engine = await this.openEngine(given)
    const [{createSnapshot}, {summaryOf}] = await Promise.all([
      import('../../engine/snapshot/create.ts'),
      import('../../engine/snapshot/list.ts'),
    ])
    const vms = await this.createdVms(engine, args.names, given.file)
    const snapshot = await createSnapshot(engine, {name: args.snapshot, vms}, {diskOnly: given['disk-only']})
    const summary = await summaryOf(engine, snapshot)
    const memory = summary.vms.some(({hasMemory}) => hasMemory) ? 'with memory' : 'disks only'
    const pause =
      summary.pausedMs > 0 ? `, paused for ${summary.pausedMs < 1000 ? `${summary.pausedMs} ms` : formatDuration(summary.pausedMs)}` : ''
    this.log(`${summary.name}: kept of ${summary.vms.map(({name}) => name).join(', ')} (${memory}, ${formatSize(summary.bytes)}${pause})`)
    return summary
  }
}

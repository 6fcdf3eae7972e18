import * as Flags from '@oclif/core/flags'

import * as flags from '../../cli/flags.ts'
import {SnapshotCommand, snapshotArguments} from '../../cli/snapshot-command.ts'
import type {Restored} from '../../engine/snapshot/restore.ts'

export default class SnapshotRestore extends SnapshotCommand {
  static override summary = 'Put VMs back to a snapshot.'
  static override description =
    'What they have written since is lost, on their disks and volumes. Guests whose memory was kept go on where they were, all at once and with the right time; the others are stopped. The snapshot stays.'
  static override args = snapshotArguments
  static override flags = {
    ...flags.locking,
    file: flags.file,
    'disk-only': Flags.boolean({summary: 'Put the disks back alone: guests boot from them.'}),
    yes: flags.yes,
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> before-upgrade',
    '<%= config.bin %> <%= command.id %> before-upgrade web',
  ]

  async run(): Promise<{readonly snapshot: string; readonly vms: readonly Restored[]}> {
    const {args, flags: given} = await this.parse(SnapshotRestore)
    const engine = await this.openEngine(given)
    const [{restoreSnapshot}, {lossOfRestore}] = await Promise.all([
      import('../../engine/snapshot/restore.ts'),
      import('../../engine/show/loss.ts'),
    ])
    const wanted = await this.wanted(engine, args, given.file)
    await this.confirmLoss(engine, {
      what: `snapshot restore puts these VMs back to ${args.snapshot}; what they have written since is lost:`,
      losses: await lossOfRestore(engine, wanted),
      instead: '`vmctl snapshot create` keeps this moment first.',
      yes: given.yes,
    })
    const vms = await restoreSnapshot(engine, wanted, {diskOnly: given['disk-only']})
    for (const {name, hasMemory} of vms) {
      this.log(`${name}: put back to ${args.snapshot}${hasMemory ? '' : `; \`vmctl start ${name}\` boots it`}`)
    }
    return {snapshot: args.snapshot, vms}
  }
}

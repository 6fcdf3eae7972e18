import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../../cli/base-command.ts'
import {yes} from '../../cli/flags.ts'
import type {VolumeSummary} from '../../engine/resources/volumes.ts'

export default class VolumeRm extends VmctlCommand {
  static override summary = 'Remove a volume, with everything on it.'
  static override description = 'This cannot be undone. The volume of a VM that exists stays; destroy the VM first.'
  static override args = {volume: Args.string({description: 'Name of the volume, as `volume ls` shows it.', required: true})}
  static override flags = {yes}
  static override examples = ['<%= config.bin %> <%= command.id %> shop.pgdata']

  async run(): Promise<{readonly removed: VolumeSummary}> {
    const {args, flags} = await this.parse(VolumeRm)
    const engine = await this.openEngine(flags)
    const {findVolume, removeUnusedVolume} = await import('../../engine/resources/volumes.ts')
    const {id, users} = await findVolume(engine, args.volume)
    if (users.length === 0) {
      await this.confirmLoss(engine, {what: 'volume rm removes this volume with everything on it:', volumes: [id], yes: flags.yes})
    }
    const removed = await removeUnusedVolume(engine, args.volume)
    this.log(`${removed.id}: removed`)
    return {removed}
  }
}

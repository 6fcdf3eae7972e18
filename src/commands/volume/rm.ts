import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../../cli/base-command.ts'
import type {VolumeSummary} from '../../engine/resources/volumes.ts'

export default class VolumeRm extends VmctlCommand {
  static override summary = 'Remove a volume with everything on it. This cannot be undone.'
  static override description = 'A volume of a VM that exists stays; destroy the VM first.'
  static override args = {volume: Args.string({description: 'Name of the volume, as `volume ls` shows it.', required: true})}
  static override examples = ['<%= config.bin %> <%= command.id %> shop.pgdata']

  async run(): Promise<{readonly removed: VolumeSummary}> {
    const {args, flags} = await this.parse(VolumeRm)
    const engine = await this.openEngine(flags)
    const {removeUnusedVolume} = await import('../../engine/resources/volumes.ts')
    const removed = await removeUnusedVolume(engine, args.volume)
    this.log(`Volume '${removed.id}' removed`)
    return {removed}
  }
}

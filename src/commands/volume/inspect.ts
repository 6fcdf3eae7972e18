import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../../cli/base-command.ts'
import type {VolumeSummary} from '../../engine/resources/volumes.ts'
import {formatSize} from '../../model/quantity.ts'

export default class VolumeInspect extends VmctlCommand {
  static override summary = 'Show one volume in full.'
  static override args = {volume: Args.string({description: 'Name of the volume, as `volume ls` shows it.', required: true})}
  static override examples = ['<%= config.bin %> <%= command.id %> shop.pgdata', '<%= config.bin %> <%= command.id %> pgdata --json']

  async run(): Promise<VolumeSummary> {
    const {args, flags} = await this.parse(VolumeInspect)
    const engine = await this.openEngine(flags)
    const {findVolume} = await import('../../engine/resources/volumes.ts')
    const volume = await findVolume(engine, args.volume)
    const lines: (readonly [string, string])[] = [
      ['Name', volume.id],
      ['Path', volume.path],
      ['Filesystem', volume.label === '' ? volume.filesystem : `${volume.filesystem} (label ${volume.label})`],
      ['Size', formatSize(volume.sizeBytes)],
      ['Used', `${formatSize(volume.allocatedBytes)} of the host`],
      ['Device', `/dev/disk/by-id/virtio-${volume.serial}`],
      ['Created', volume.createdAt || 'unknown'],
      ...volume.users.map(({vm, readOnly, target}) => ['VM', `${vm} ${target ?? ''} ${readOnly ? '(read-only)' : ''}`.trim()] as const),
    ]
    this.log(lines.map(([label, value]) => `${`${label}:`.padEnd(12)} ${value}`).join('\n'))
    return volume
  }
}

import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../../cli/base-command.ts'
import type {ImageInspection} from '../../engine/manage/images.ts'
import {formatSize} from '../../model/quantity.ts'

export default class ImageInspect extends VmctlCommand {
  static override summary = 'Show what a disk image is.'
  static override args = {path: Args.string({description: 'Path of the image.', required: true})}
  static override examples = ['<%= config.bin %> <%= command.id %> ./my-image.qcow2']

  async run(): Promise<ImageInspection> {
    const {args, flags} = await this.parse(ImageInspect)
    const engine = await this.openEngine(flags)
    const {describeImage} = await import('../../engine/manage/images.ts')
    const image = await describeImage(engine, args.path, process.cwd())
    this.log(
      `Format: ${image.format}\nPath:   ${image.path}\nSize:   ${formatSize(image.virtualSizeBytes ?? image.sizeBytes)} (${formatSize(image.allocatedBytes)} on disk)`,
    )
    if (image.objection !== undefined) this.log(`Cannot be used: ${image.objection}.`)
    return image
  }
}

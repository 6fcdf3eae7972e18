import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../../cli/base-command.ts'
import type {CachedImage} from '../../engine/manage/images.ts'

export default class ImageRm extends VmctlCommand {
  static override summary = 'Remove an image from the cache.'
  static override description = 'An image that a VM uses stays.'
  static override args = {image: Args.string({description: 'Name, URL or digest of the image, as `image list` shows it.', required: true})}
  static override examples = ['<%= config.bin %> <%= command.id %> noble-server-cloudimg-amd64.img']

  async run(): Promise<{readonly removed: readonly CachedImage[]}> {
    const {args, flags} = await this.parse(ImageRm)
    const engine = await this.openEngine(flags)
    const {removeCached} = await import('../../engine/manage/images.ts')
    const removed = await removeCached(engine, args.image)
    for (const {name} of removed) this.log(`${name}: removed`)
    return {removed}
  }
}

import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../../cli/base-command.ts'
import type {VerifiedImage} from '../../engine/manage/images.ts'

export default class ImageVerify extends VmctlCommand {
  static override summary = 'Check the images in the cache against their digests.'
  static override description =
    'Reads each image in full. Without it the digest is computed when an image is stored, and again when its file has been touched since. Exit status 4 when an image is damaged.'
  static override args = {image: Args.string({description: 'Name, URL or digest of the image, as `image list` shows it; all when absent.'})}
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> noble-server-cloudimg-amd64.img']

  async run(): Promise<{readonly images: readonly VerifiedImage[]}> {
    const {args, flags} = await this.parse(ImageVerify)
    const engine = await this.openEngine(flags)
    const {verifyCached} = await import('../../engine/manage/images.ts')
    const images = await verifyCached(engine, args.image)
    this.log(
      images.length === 0
        ? 'No cached images. `vmctl image pull debian:12` fetches one.'
        : images.map(({name}) => `${name}: OK`).join('\n'),
    )
    return {images}
  }
}

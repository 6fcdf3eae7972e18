import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../../cli/base-command.ts'
import type {VerifiedImage} from '../../engine/manage/images.ts'
import {VmctlError} from '../../model/errors.ts'

export default class ImageVerify extends VmctlCommand {
  static override summary = 'Check the images in the cache against their digests.'
  static override description =
    'Reads each image in full. What a publisher vouches for is checked when an image is fetched. The digest of a disk that was decompressed is computed when this is run for the first time; until then only the time and the size of its file tell damage. Exit status 4 when an image is damaged.'
  static override args = {image: Args.string({description: 'Name, URL or digest of the image, as `image list` shows it; all when absent.'})}
  static override flags = {all: Flags.boolean({summary: 'All images of the cache, as without an argument.'})}
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> noble-server-cloudimg-amd64.img']

  async run(): Promise<{readonly images: readonly VerifiedImage[]}> {
    const {args, flags} = await this.parse(ImageVerify)
    if (flags.all && args.image !== undefined)
      throw new VmctlError('vmctl::usage::invalid', 'Both an image and --all are given.', {help: 'Use one of them.'})
    const engine = await this.openEngine(flags)
    const {verifyCached} = await import('../../engine/manage/images.ts')
    const images = await verifyCached(engine, args.image)
    this.log(
      images.length === 0
        ? 'No cached images. `vmctl image pull debian:12` fetches one.'
        : images.map(({name, isNew}) => `${name}: ${isNew ? 'OK; its digest is on record now' : 'OK'}`).join('\n'),
    )
    return {images}
  }
}

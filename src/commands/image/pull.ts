import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../../cli/base-command.ts'
import type {BaseImage} from '../../model/vm.ts'

export default class ImagePull extends VmctlCommand {
  static override aliases = ['pull']
  static override summary = 'Fetch an image into the cache, verified.'
  static override args = {url: Args.string({description: 'URL of the image.', required: true})}
  static override flags = {
    name: Flags.string({summary: 'What to call the image in the cache, instead of its file name.'}),
    sha256: Flags.string({summary: 'Digest that the file must have.', helpValue: 'HEX'}),
    sha512: Flags.string({summary: 'Digest that the file must have.', helpValue: 'HEX'}),
    'checksum-url': Flags.string({summary: 'List of digests that names the file, as sha256sum writes it.', helpValue: 'URL'}),
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img',
  ]

  async run(): Promise<BaseImage> {
    const {args, flags} = await this.parse(ImagePull)
    const engine = await this.openEngine(flags)
    const {pullImage} = await import('../../engine/images.ts')
    const {sha256, sha512, 'checksum-url': checksumUrl} = flags
    const image = await pullImage(engine, args.url, {name: flags.name, sha256, sha512, checksumUrl})
    this.log(`Image cached at: ${image.path}`)
    return image
  }
}

import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import * as flags from '../../cli/flags.ts'
import {VmfileCommand} from '../../cli/vmfile-command.ts'
import {architectures} from '../../model/catalogue.ts'
import type {BaseImage} from '../../model/vm.ts'

export default class ImagePull extends VmfileCommand {
  static override aliases = ['pull']
  static override summary = 'Fetch images into the cache, and verify them.'
  static override description =
    'Without a name, all images of the VMFile, the builds that its lock file holds. For an image with a name (`debian:12`) its publisher is asked for the newest build, which new VMs are made from; one that is in the cache already is not fetched again. A local image is checked, and decompressed into the cache when it is compressed.'
  static override args = {image: Args.string({description: 'URL, name (`debian:12`) or path of the image.'})}
  static override flags = {
    ...flags.locked,
    file: flags.file,
    force: Flags.boolean({summary: 'Fetch it although it is in the cache. What is there stays until the new one is complete.'}),
    arch: Flags.option({options: architectures})({summary: 'Processor that an image with a name is for (default: x86_64).'}),
    firmware: Flags.option({options: ['bios', 'uefi'] as const})({
      summary: 'What it is to boot with, where a name has an image for each (default: bios).',
    }),
    name: Flags.string({summary: 'Name of the image in the cache (default: its file name).'}),
    sha256: Flags.string({summary: 'Expected SHA-256 of the file.', helpValue: 'HEX'}),
    sha512: Flags.string({summary: 'Expected SHA-512 of the file.', helpValue: 'HEX'}),
    'checksum-url': Flags.string({summary: 'List of digests that names the file, as sha256sum writes it.', helpValue: 'URL'}),
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> debian:12',
    '<%= config.bin %> <%= command.id %> https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img',
    '<%= config.bin %> <%= command.id %> oci://quay.io/containerdisks/debian:12',
    '<%= config.bin %> <%= command.id %> --force',
  ]

  async run(): Promise<BaseImage | {readonly images: readonly BaseImage[]}> {
    const {args, flags: given} = await this.parse(ImagePull)
    const engine = await this.openEngine(given)
    const {pullAll, pullImage} = await import('../../engine/manage/images.ts')
    if (args.image === undefined) {
      const vmfile = await this.readVmfile(engine, given.file)
      const images = await pullAll(engine, vmfile, {force: given.force, onFailure: (error) => this.tellFailure(error)})
      for (const {path} of images) this.log(`Image cached at: ${path}`)
      return {images}
    }
    const {name, sha256, sha512, 'checksum-url': checksumUrl, force, arch, firmware} = given
    const image = await pullImage(engine, args.image, {
      name,
      sha256,
      sha512,
      checksumUrl,
      force,
      architecture: arch,
      firmware,
      directory: process.cwd(),
    })
    const isCached = image.sha256 !== undefined
    this.log(isCached ? `Image cached at: ${image.path}` : `Image used in place: ${image.path} (${image.format})`)
    return image
  }
}

import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../../cli/base-command.ts'
import type {PushedImage} from '../../engine/manage/push-image.ts'
import {architectures} from '../../model/catalogue.ts'

export default class ImagePush extends VmctlCommand {
  static override summary = 'Bring an image into an OCI registry.'
  static override description =
    'The disk is packed (qcow2 in zstd) and becomes an artifact that `image-url "oci://…"` uses and other programs (`oras pull`) fetch. What the registry has is not sent again, and a push that was cut goes on where it was. A tag that has disks for other processors keeps them. Credentials are those of `docker login` or `podman login`.'
  static override args = {
    image: Args.string({required: true, description: 'Path of a disk, or an image of the cache: its name, URL or digest.'}),
    target: Args.string({required: true, description: 'Where it goes: oci://REGISTRY/REPOSITORY:TAG.'}),
  }
  static override flags = {
    arch: Flags.option({options: architectures, default: 'x86_64'})({summary: 'Processor that the disk is for.'}),
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> debian:12 oci://registry.example.org/team/debian:12',
    '<%= config.bin %> <%= command.id %> ./disk.qcow2 oci://127.0.0.1:5000/disk:1',
  ]

  async run(): Promise<PushedImage> {
    const {args, flags} = await this.parse(ImagePush)
    const engine = await this.openEngine(flags)
    const {pushImage} = await import('../../engine/manage/push-image.ts')
    const pushed = await pushImage(engine, args.image, {target: args.target, architecture: flags.arch, directory: process.cwd()})
    this.log(`Pushed: ${pushed.pinned}`)
    return pushed
  }
}

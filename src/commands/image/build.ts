import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../../cli/base-command.ts'
import * as flags from '../../cli/flags.ts'
import type {BuiltImage} from '../../engine/manage/build-image.ts'
import {formatSize} from '../../model/quantity.ts'
import {asTyped} from '../../model/quote.ts'

const defaultSizeBytes = 3 * 2 ** 30

export default class ImageBuild extends VmctlCommand {
  static override summary = "Build an image from a distribution's packages."
  static override description =
    'It needs no root. For a network in which no image can be downloaded, or with packages of your own. The file boots by BIOS and by UEFI, with secure boot too, and is used by its path. A list of its packages with their versions is written beside it. It takes mmdebstrap and some other programs; what is missing is told.'
  static override args = {image: Args.string({description: 'What to build: `debian:13`, `debian:12` or `debian:11`.', required: true})}
  static override flags = {
    output: Flags.string({
      char: 'o',
      summary: 'File to write (default: debian-12.qcow2 for debian:12, in this directory).',
      helpValue: 'FILE',
    }),
    size: flags.gigabytes({summary: 'Size of its disk (default: 3G). The root grows to the disk of each VM.'}),
    package: Flags.string({
      summary: 'A package that it gets besides; may be given several times.',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'NAME',
    }),
    mirror: Flags.string({
      summary: 'Where packages come from, in the guest too (default: where the apt of this machine has Debian from, else deb.debian.org).',
      helpValue: 'URL',
    }),
    'security-mirror': Flags.string({summary: 'The same for security updates.', helpValue: 'URL'}),
    force: Flags.boolean({summary: 'Replace the file when it exists. The base of a VM is not replaced.'}),
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> debian:12',
    '<%= config.bin %> <%= command.id %> debian:13 --output images/web.qcow2 --package nginx --package postgresql',
  ]

  async run(): Promise<BuiltImage> {
    const {args, flags: given} = await this.parse(ImageBuild)
    const engine = await this.openEngine(given)
    const {buildImage} = await import('../../engine/manage/build-image.ts')
    const image = await buildImage(engine, args.image, {
      output: given.output,
      sizeBytes: given.size ?? defaultSizeBytes,
      packages: given.package ?? [],
      mirror: given.mirror,
      securityMirror: given['security-mirror'],
      force: given.force,
      directory: process.cwd(),
    })
    await this.settle()
    this.log(`${image.path} is built: ${formatSize(image.sizeBytes)}, ${formatSize(image.virtualSizeBytes)} for the guest.`)
    this.tell(
      `Use it: image ${JSON.stringify(given.output ?? `./${image.name.replace(':', '-')}.qcow2`)} in a VMFile, or vmctl run ${asTyped(image.path)}`,
    )
    return image
  }
}

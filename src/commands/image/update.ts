import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import * as flags from '../../cli/flags.ts'
import {lockLine} from '../../cli/lock-changes.ts'
import {VmfileCommand} from '../../cli/vmfile-command.ts'
import type {LockResult} from '../../engine/manage/image-lock.ts'

export default class ImageUpdate extends VmfileCommand {
  static override summary = 'Lock and fetch the newest builds of the images.'
  static override description =
    'The publishers are asked which builds there are now. New VMs are made from these; VMs that exist keep their base until `vmctl reload`. An image that was signed when it was locked and is not any more is refused.'
  static override args = {image: Args.string({multiple: true, description: 'Names or URLs of images in the VMFile; all when absent.'})}
  static override flags = {
    file: flags.file,
    'allow-weaker': Flags.boolean({summary: 'Take a build although it can be trusted less than the one before.'}),
  }
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> debian:12']

  async run(): Promise<LockResult> {
    const {args, flags: given} = await this.parse(ImageUpdate)
    const engine = await this.openEngine(given)
    const vmfile = await this.readVmfile(engine, given.file)
    const {updateLock} = await import('../../engine/manage/image-lock.ts')
    const result = await updateLock(engine, vmfile, {
      names: args.image ?? [],
      allowWeaker: given['allow-weaker'],
      onFailure: (error) => this.tellFailure(error),
    })
    if (result.images.length === 0) this.log('The VMFile has no images to lock.')
    for (const change of result.images) this.log(lockLine(change))
    return result
  }
}

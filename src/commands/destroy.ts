import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../cli/base-command.ts'
import {locking} from '../cli/flags.ts'

export default class Destroy extends VmctlCommand {
  static override summary = 'Destroy a VM with its disk, keys and logs.'
  static override description =
    'Ends the VM if it runs, and removes everything of it. This cannot be undone. Base images stay in the cache.'
  static override args = {name: Args.string({description: 'Name of the VM.', required: true})}
  static override flags = locking
  static override examples = ['<%= config.bin %> <%= command.id %> web']

  async run(): Promise<{readonly name: string}> {
    const {args, flags} = await this.parse(Destroy)
    const engine = await this.openEngine(flags)
    const {destroy} = await import('../engine/lifecycle.ts')
    const result = await destroy(engine, await this.vmNamed(engine, args.name))
    this.log(`VM '${result.name}' destroyed`)
    return result
  }
}

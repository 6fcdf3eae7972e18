import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../cli/base-command.ts'
import {locking} from '../cli/flags.ts'
import type {LifecycleResult} from '../engine/lifecycle.ts'

export default class Resume extends VmctlCommand {
  static override summary = 'Let a suspended VM go on.'
  static override args = {name: Args.string({description: 'Name of the VM.', required: true})}
  static override flags = locking
  static override examples = ['<%= config.bin %> <%= command.id %> web']

  async run(): Promise<LifecycleResult> {
    const {args, flags} = await this.parse(Resume)
    const engine = await this.openEngine(flags)
    const {resume} = await import('../engine/lifecycle.ts')
    const result = await resume(engine, await this.vmNamed(engine, args.name))
    this.log(`VM '${result.name}' resumed`)
    return result
  }
}

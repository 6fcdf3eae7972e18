import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../cli/base-command.ts'
import {locking} from '../cli/flags.ts'
import type {LifecycleResult} from '../engine/lifecycle.ts'

export default class Suspend extends VmctlCommand {
  static override summary = 'Pause a running VM; it stays in memory.'
  static override args = {name: Args.string({description: 'Name of the VM.', required: true})}
  static override flags = locking
  static override examples = ['<%= config.bin %> <%= command.id %> web']

  async run(): Promise<LifecycleResult> {
    const {args, flags} = await this.parse(Suspend)
    const engine = await this.openEngine(flags)
    const {suspend} = await import('../engine/lifecycle.ts')
    const result = await suspend(engine, await this.vmNamed(engine, args.name))
    this.log(`VM '${result.name}' suspended`)
    return result
  }
}

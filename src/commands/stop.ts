import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../cli/base-command.ts'
import {duration, locking} from '../cli/flags.ts'
import type {LifecycleResult} from '../engine/lifecycle.ts'

export default class Stop extends VmctlCommand {
  static override summary = 'Power off a VM.'
  static override description =
    'Presses the power button of the guest. If it has not powered off in time (30 seconds, unless the VM has a `stop-grace-period`), QEMU gets SIGTERM, and SIGKILL as a last resort.'
  static override args = {name: Args.string({description: 'Name of the VM.', required: true})}
  static override flags = {
    ...locking,
    timeout: duration({summary: 'How long the guest may take before it is forced off, instead of its `stop-grace-period`.'}),
  }
  static override examples = ['<%= config.bin %> <%= command.id %> web', '<%= config.bin %> <%= command.id %> web --timeout 2m']

  async run(): Promise<LifecycleResult> {
    const {args, flags} = await this.parse(Stop)
    const engine = await this.openEngine(flags)
    const {stop} = await import('../engine/lifecycle.ts')
    const result = await stop(engine, await this.vmNamed(engine, args.name), flags.timeout === undefined ? {} : {timeoutMs: flags.timeout})
    this.log(`VM '${result.name}' stopped`)
    return result
  }
}

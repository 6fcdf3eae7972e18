import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../cli/base-command.ts'
import {describeStatus} from '../cli/status-text.ts'
import type {VmStatus} from '../engine/inspect.ts'

export default class Status extends VmctlCommand {
  static override summary = 'Show everything that is known about a VM.'
  static override args = {name: Args.string({description: 'Name of the VM.', required: true})}
  static override examples = ['<%= config.bin %> <%= command.id %> web', '<%= config.bin %> <%= command.id %> web --json']

  async run(): Promise<VmStatus> {
    const {args, flags} = await this.parse(Status)
    const engine = await this.openEngine(flags)
    const {status} = await import('../engine/inspect.ts')
    const result = await status(engine, await this.vmNamed(engine, args.name))
    this.log(describeStatus(result))
    return result
  }
}

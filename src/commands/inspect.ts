import * as flags from '../cli/flags.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import type {Inspection} from '../engine/show/inspect.ts'

export default class Inspect extends VmfileCommand {
  static override summary = 'Show everything that is known about VMs, as JSON.'
  static override description =
    'The spec as last applied, what the VM is attached to, and what is seen of it now. Nothing is asked of the guest, and values of secrets are not on record.'
  static override examples = ['<%= config.bin %> <%= command.id %> web', "<%= config.bin %> <%= command.id %> web | jq '.[0].attachments'"]
  static override args = flags.existingVms
  static override flags = {file: flags.file}

  async run(): Promise<readonly Inspection[]> {
    const {args, flags: given} = await this.parse(Inspect)
    const engine = await this.openEngine(given)
    const {inspect} = await import('../engine/show/inspect.ts')
    const names = await this.createdVms(engine, args.names, given.file)
    const found = await Promise.all(names.map((name) => inspect(engine, name)))
    this.log(JSON.stringify(found, undefined, 2))
    return found
  }
}

import * as Args from '@oclif/core/args'

import * as flags from '../cli/flags.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import type {Inspection} from '../engine/inspect.ts'

export default class Inspect extends VmfileCommand {
  static override summary = 'Show everything that is known of VMs, as JSON.'
  static override description =
    'The spec as last applied, what the VM is attached to, and what is seen of it now. Nothing is asked of the guest, and values of secrets are not on record.'
  static override examples = ['<%= config.bin %> <%= command.id %> web', "<%= config.bin %> <%= command.id %> web | jq '.[0].attachments'"]
  static override args = {names: Args.string({multiple: true, description: 'Names of VMs or services; all of the VMFile when absent.'})}
  static override flags = {file: flags.file}

  async run(): Promise<readonly Inspection[]> {
    const {args, flags: given} = await this.parse(Inspect)
    const engine = await this.openEngine(given)
    const [{findVms}, {inspect}] = await Promise.all([import('../engine/find.ts'), import('../engine/inspect.ts')])
    const asked = args.names ?? []
    const vmfile = asked.length === 0 ? await this.vmfileIfAny(engine, given.file, true) : undefined
    const names = await findVms(engine, asked, {vmfile, file: given.file, directory: process.cwd()})
    const found = await Promise.all(names.map((name) => inspect(engine, name)))
    this.log(JSON.stringify(found, undefined, 2))
    return found
  }
}

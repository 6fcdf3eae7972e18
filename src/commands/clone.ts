import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../cli/base-command.ts'
import * as flags from '../cli/flags.ts'
import type {Cloned} from '../engine/fork/clone.ts'

export default class Clone extends VmctlCommand {
  static override summary = 'Make a VM that begins with the disk of another one.'
  static override description =
    'The clone has what the VM has on its disk and its volumes at one instant, whether it runs or not, and goes its own way from there: it is a VM of its own, without a VMFile. Its guest is another one: machine-id, host keys, host name, addresses and ports are its own from the first boot on. Ports of the host are chosen anew. The VM goes on as it was.'
  static override args = {
    name: Args.string({required: true, description: 'Name of the VM.'}),
    new: Args.string({required: true, description: 'Name of the clone.'}),
  }
  static override flags = {...flags.locking, file: flags.file, start: Flags.boolean({default: false, summary: 'Start it as well.'})}
  static override examples = [
    '<%= config.bin %> <%= command.id %> web web2 --start',
    '<%= config.bin %> <%= command.id %> db db-before-upgrade',
  ]

  async run(): Promise<Cloned> {
    const {args, flags: given} = await this.parse(Clone)
    const engine = await this.openEngine(given)
    const [{cloneVm}, name] = await Promise.all([import('../engine/fork/clone.ts'), this.vmNamed(engine, args.name, given.file)])
    const made = await cloneVm(engine, {name, as: args.new}, {start: given.start})
    await this.settle()
    const next = given.start ? 'started' : `\`vmctl start ${made.name}\` boots it`
    this.log(`${made.name}: cloned from ${name}${made.pausedMs > 0 ? `, which was paused for ${made.pausedMs} ms` : ''}; ${next}`)
    return made
  }
}

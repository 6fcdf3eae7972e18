import * as flags from '../cli/flags.ts'
import {LifecycleCommand, type LifecycleOutput} from '../cli/lifecycle-command.ts'

export default class Start extends LifecycleCommand {
  static override summary = 'Start VMs that are at rest; let saved ones go on.'
  static override description =
    'With changes of the VMFile that have waited for a start. Provision steps and the order of `depends-on` are the business of `vmctl up`.'
  static override args = flags.existingVms
  static override flags = {...flags.locking, 'discard-saved': flags.discardSaved, file: flags.file}
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> web',
    '<%= config.bin %> <%= command.id %> web db',
  ]

  async run(): Promise<LifecycleOutput> {
    const {args, flags: given} = await this.parse(Start)
    const engine = await this.openEngine(given)
    const {start} = await import('../engine/vm/lifecycle.ts')
    return this.forEach(engine, {asked: args.names, file: given.file, done: 'started'}, (name) =>
      start(engine, name, {discardSaved: given['discard-saved']}),
    )
  }
}

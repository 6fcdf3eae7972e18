import * as flags from '../cli/flags.ts'
import {LifecycleCommand, type LifecycleOutput} from '../cli/lifecycle-command.ts'

export default class Suspend extends LifecycleCommand {
  static override summary = 'Pause running VMs; they stay in memory.'
  static override args = flags.existingVms
  static override flags = {...flags.locking, file: flags.file}
  static override examples = ['<%= config.bin %> <%= command.id %> web']

  async run(): Promise<LifecycleOutput> {
    const {args, flags: given} = await this.parse(Suspend)
    const engine = await this.openEngine(given)
    const {suspend} = await import('../engine/vm/lifecycle.ts')
    return this.forEach(engine, {asked: args.names, file: given.file, done: 'suspended'}, (name) => suspend(engine, name))
  }
}

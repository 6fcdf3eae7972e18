import * as flags from '../cli/flags.ts'
import {LifecycleCommand, type LifecycleOutput} from '../cli/lifecycle-command.ts'

export default class Restart extends LifecycleCommand {
  static override summary = 'Power VMs off and boot them again, with what they have been given meanwhile.'
  static override description = 'A VM that is stopped is started. Provision steps are left alone; `vmctl up` runs those that are due.'
  static override args = flags.existingVms
  static override flags = {...flags.locking, timeout: flags.stopTimeout, file: flags.file}
  static override examples = ['<%= config.bin %> <%= command.id %> web']

  async run(): Promise<LifecycleOutput> {
    const {args, flags: given} = await this.parse(Restart)
    const engine = await this.openEngine(given)
    const {restart} = await import('../engine/lifecycle.ts')
    const options = given.timeout === undefined ? {} : {timeoutMs: given.timeout}
    return this.forEach(engine, {asked: args.names, file: given.file, done: 'restarted'}, (name) => restart(engine, name, options))
  }
}

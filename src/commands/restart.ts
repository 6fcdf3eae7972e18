import * as flags from '../cli/flags.ts'
import {LifecycleCommand, type LifecycleOutput} from '../cli/lifecycle-command.ts'

export default class Restart extends LifecycleCommand {
  static override summary = 'Restart VMs and apply pending changes; their disks stay.'
  static override description =
    'Memory, processors, volumes and whatever else `vmctl up` says needs a restart is taken from the VMFile. A VM that is stopped is started. Provision steps are left alone; `vmctl up` runs those that are due.'
  static override args = flags.existingVms
  static override flags = {...flags.locking, timeout: flags.stopTimeout, file: flags.file}
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> web']

  async run(): Promise<LifecycleOutput> {
    const {args, flags: given} = await this.parse(Restart)
    const engine = await this.openEngine(given)
    const {restart} = await import('../engine/vm/lifecycle.ts')
    const options = given.timeout === undefined ? {} : {timeoutMs: given.timeout}
    return this.forEach(engine, {asked: args.names, file: given.file, done: 'restarted'}, (name) => restart(engine, name, options))
  }
}

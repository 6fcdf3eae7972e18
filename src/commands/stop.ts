import * as flags from '../cli/flags.ts'
import {LifecycleCommand, type LifecycleOutput} from '../cli/lifecycle-command.ts'

export default class Stop extends LifecycleCommand {
  static override summary = 'Power off VMs.'
  static override description =
    'Presses the power button of the guest. If it has not powered off in time (30 seconds, unless the VM has a `stop-grace-period`), QEMU gets SIGTERM, and SIGKILL as a last resort.'
  static override args = flags.existingVms
  static override flags = {...flags.locking, timeout: flags.stopTimeout, file: flags.file}
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> web',
    '<%= config.bin %> <%= command.id %> web --timeout 2m',
  ]

  async run(): Promise<LifecycleOutput> {
    const {args, flags: given} = await this.parse(Stop)
    const engine = await this.openEngine(given)
    const {stop} = await import('../engine/vm/lifecycle.ts')
    const options = given.timeout === undefined ? {} : {timeoutMs: given.timeout}
    return this.forEach(engine, {asked: args.names, file: given.file, done: 'stopped'}, (name) => stop(engine, name, options))
  }
}

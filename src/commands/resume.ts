import * as flags from '../cli/flags.ts'
import {LifecycleCommand, type LifecycleOutput} from '../cli/lifecycle-command.ts'

export default class Resume extends LifecycleCommand {
  static override summary = 'Resume suspended and saved VMs.'
  static override args = flags.existingVms
  static override flags = {...flags.locking, file: flags.file}
  static override examples = ['<%= config.bin %> <%= command.id %> web']

  async run(): Promise<LifecycleOutput> {
    const {args, flags: given} = await this.parse(Resume)
    const engine = await this.openEngine(given)
    const {resume} = await import('../engine/vm/lifecycle.ts')
    return this.forEach(engine, {asked: args.names, file: given.file, done: 'resumed'}, (name) => resume(engine, name))
  }
}

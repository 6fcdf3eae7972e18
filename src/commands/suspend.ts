import * as Flags from '@oclif/core/flags'

import * as flags from '../cli/flags.ts'
import {eachVm} from '../cli/each-vm.ts'
import {LifecycleCommand, type LifecycleOutput} from '../cli/lifecycle-command.ts'

export default class Suspend extends LifecycleCommand {
  static override summary = 'Pause running VMs, in memory or on disk.'
  static override description =
    'With --disk, the memory of the guests goes to disk, of all of them as of one instant, and nothing of them runs any more: as `vmctl down --save`. `vmctl resume`, `vmctl start` and `vmctl up` let them go on.'
  static override args = flags.existingVms
  static override flags = {
    ...flags.locking,
    disk: Flags.boolean({summary: 'Keep the memory on disk, and end what runs.'}),
    file: flags.file,
  }
  static override examples = ['<%= config.bin %> <%= command.id %> web', '<%= config.bin %> <%= command.id %> --disk']

  async run(): Promise<LifecycleOutput> {
    const {args, flags: given} = await this.parse(Suspend)
    const engine = await this.openEngine(given)
    const {suspend, suspendToDisk} = await import('../engine/vm/lifecycle.ts')
    if (given.disk) {
      const names = await this.createdVms(engine, args.names, given.file)
      const results = await suspendToDisk(engine, names)
      for (const {name, unchanged} of results) this.log(`${name}: ${unchanged ? 'already saved' : 'saved'}`)
      return eachVm(results)
    }
    return this.forEach(engine, {asked: args.names, file: given.file, done: 'suspended'}, (name) => suspend(engine, name))
  }
}

import * as Args from '@oclif/core/args'

import * as flags from '../cli/flags.ts'
import {LifecycleCommand} from '../cli/lifecycle-command.ts'
import type {Destroyed} from '../engine/vm/lifecycle.ts'

export default class Destroy extends LifecycleCommand {
  static override summary = 'Destroy VMs with their disks, keys and logs.'
  static override description =
    'Ends the VMs if they run, and removes everything of them. This cannot be undone. Base images stay in the cache, volumes stay too. Each name stands for one VM: replicas are named one by one. `vmctl down --destroy` removes all VMs of a VMFile.'
  static override args = {names: Args.string({multiple: true, required: true, description: 'Names of VMs.'})}
  static override flags = {...flags.locking, file: flags.file, yes: flags.yes}
  static override examples = ['<%= config.bin %> <%= command.id %> web', '<%= config.bin %> <%= command.id %> web-1 web-2']

  async run(): Promise<Destroyed | {readonly vms: readonly Destroyed[]}> {
    const {args, flags: given} = await this.parse(Destroy)
    const engine = await this.openEngine(given)
    const [{destroy}, {findEach}] = await Promise.all([import('../engine/vm/lifecycle.ts'), import('../engine/find.ts')])
    const found = await findEach(engine, args.names, {file: given.file, directory: process.cwd()})
    const names = found.map(({name}) => name)
    await this.confirmLoss(engine, {
      what: 'destroy removes these VMs with their disks, keys and logs:',
      vms: names,
      instead: '`vmctl stop` powers a VM off, and keeps its disk.',
      yes: given.yes,
    })
    return this.forNames(
      names,
      (name) =>
        destroy(
          engine,
          name,
          found.find((one) => one.name === name),
        ),
      ({name}) => `${name}: destroyed`,
    )
  }
}

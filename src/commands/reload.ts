import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import type {VmResult} from '../engine/converge/result.ts'

export default class Reload extends VmfileCommand {
  static override summary = 'Destroy the VMs of a VMFile, and make them anew.'
  static override description =
    'What is on the disks is lost; `vmctl restart` applies most changes and keeps them. The new VM is prepared first: its image is fetched and checked, its disk, keys and seed are made. Only then is the old VM destroyed, with its disk, and replaced. It starts from the layer of provision steps that has most of its steps, with `--no-cache` from its image.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> web']
  static override args = flags.vmArguments
  static override flags = {
    ...flags.locking,
    ...flags.locked,
    adopt: flags.adopt,
    file: flags.file,
    home: flags.home,
    name: flags.names,
    'no-cache': flags.noCache,
    'no-provision': flags.noProvision,
    parallel: flags.parallel,
    yes: flags.yes,
  }

  async run(): Promise<{readonly vms: readonly VmResult[]}> {
    const {args, flags: given} = await this.parse(Reload)
    return this.converge(
      given,
      {
        verb: 'reload',
        names: flags.namesOf(args, given),
        adopt: given.adopt,
        provision: !given['no-provision'],
        layers: !given['no-cache'],
        parallel: given.parallel,
      },
      (vms) => ({
        vms: vms.map(({name}) => name),
        what: 'reload destroys the disks of these VMs, and makes new ones:',
        instead: '`vmctl restart` keeps a disk, and applies what needs a restart.',
        yes: given.yes,
      }),
    )
  }
}

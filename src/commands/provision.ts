import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import type {VmResult} from '../engine/converge/result.ts'

export default class Provision extends VmfileCommand {
  static override summary = 'Run the provision steps of running VMs again.'
  static override description =
    'All steps run, unless you choose some of them. Steps count from 1. A run of a step that an earlier vmctl left in the guest is ended first.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> builder --step 2',
    '<%= config.bin %> <%= command.id %> --rerun 3',
  ]
  static override args = flags.vmArguments
  static override flags = {
    ...flags.locking,
    adopt: flags.adopt,
    file: flags.file,
    home: flags.home,
    name: flags.names,
    ...flags.steps,
  }

  async run(): Promise<{readonly vms: readonly VmResult[]}> {
    const {args, flags: given} = await this.parse(Provision)
    return this.converge(given, {
      verb: 'provision',
      names: flags.namesOf(args, given),
      adopt: given.adopt,
      provision: true,
      request: flags.stepRequest(given),
    })
  }
}

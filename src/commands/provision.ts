import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import type {VmResult} from '../engine/converge/result.ts'

export default class Provision extends VmfileCommand {
  static override summary = 'Run provision steps again on running VMs: all of them, unless told which.'
  static override description =
    'Steps count from 1. What an earlier run of a step has left in the guest is ended before the step runs anew.'
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

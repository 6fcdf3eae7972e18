import * as Flags from '@oclif/core/flags'

import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import type {VmResult} from '../engine/converge.ts'

export default class Down extends VmfileCommand {
  static override summary = 'Stop the VMs of a VMFile; with --destroy, remove them.'
  static override description = 'A guest has 30 seconds to power off before it is forced to.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --name web',
    '<%= config.bin %> <%= command.id %> --destroy',
  ]
  static override flags = {
    ...flags.locking,
    file: flags.file,
    name: flags.names,
    destroy: Flags.boolean({summary: 'Remove the VMs with their disks, keys and logs. This cannot be undone.'}),
  }

  async run(): Promise<{readonly vms: readonly VmResult[]}> {
    const {flags: given} = await this.parse(Down)
    const result = await this.converge(given, {verb: 'down', provision: false, destroy: given.destroy})
    for (const {name, state, actions} of result.vms) if (actions.length > 0) this.log(`VM '${name}' is ${state}.`)
    return result
  }
}

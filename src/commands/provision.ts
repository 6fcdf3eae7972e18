import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import type {VmResult} from '../engine/converge.ts'

export default class Provision extends VmfileCommand {
  static override summary = 'Run all provision steps again on running VMs.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --name builder']
  static override flags = {...flags.locking, file: flags.file, name: flags.names}

  async run(): Promise<{readonly vms: readonly VmResult[]}> {
    const {flags: given} = await this.parse(Provision)
    const result = await this.converge(given, {verb: 'provision', provision: true})
    for (const {name, actions} of result.vms) if (actions.some(({action}) => action === 'provision')) this.log(`VM '${name}' provisioned.`)
    return result
  }
}

import * as flags from '../cli/flags.ts'
import {screenOf} from '../cli/screen.ts'
import {describeStatus} from '../cli/status-text.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import type {VmStatus} from '../engine/show/inspect.ts'

export default class Status extends VmfileCommand {
  static override summary = 'Show everything that is known about VMs.'
  static override args = flags.existingVms
  static override flags = {file: flags.file}
  static override examples = ['<%= config.bin %> <%= command.id %> web', '<%= config.bin %> <%= command.id %> web --json']

  async run(): Promise<VmStatus | {readonly vms: readonly VmStatus[]}> {
    const {args, flags: given} = await this.parse(Status)
    const engine = await this.openEngine(given)
    const {loginUser, status} = await import('../engine/show/inspect.ts')
    const names = await this.createdVms(engine, args.names, given.file)
    const vms = await Promise.all(names.map((name) => status(engine, name)))
    const [only, ...others] = vms
    const users = await Promise.all(names.map((name) => loginUser(engine, name)))
    this.log(vms.map((vm, index) => describeStatus(vm, users[index], screenOf(process.stdout))).join('\n\n'))
    return only && others.length === 0 ? only : {vms}
  }
}

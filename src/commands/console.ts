import * as Args from '@oclif/core/args'

import * as flags from '../cli/flags.ts'
import {joinConsole} from '../cli/terminal.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'

export default class Console extends VmfileCommand {
  static override summary = 'Attach to the serial console of a VM; Ctrl+] detaches.'
  static override description =
    'Every key but Ctrl+] goes to the guest. A serial line does not carry the size of the terminal; `resize` (package xterm) or `stty rows R cols C` in the guest sets it.'
  static override args = {name: Args.string({description: 'Name of the VM; the only one of the VMFile when absent.'})}
  static override flags = {file: flags.file}
  static override examples = ['<%= config.bin %> <%= command.id %> web']

  async run(): Promise<{readonly name: string; readonly end: 'detached' | 'closed'}> {
    const {args, flags: given} = await this.parse(Console)
    const engine = await this.openEngine(given)
    const {openConsole} = await import('../engine/show/console.ts')
    const name = await this.oneVm(engine, args.name, given.file)
    const {stream, lock} = await openConsole(engine, name)
    await using _lock = lock
    this.tell(`Connected to the console of ${name}. Ctrl+] detaches.`)
    const end = await joinConsole(stream, this.signal)
    this.tell(end === 'detached' ? '\nDetached.' : '\nThe console was closed.')
    return {name, end}
  }
}

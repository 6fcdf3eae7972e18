import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import type {Problem} from '../model/errors.ts'

export default class Validate extends VmfileCommand {
  static override summary = 'Check a VMFile and everything it refers to, without doing anything.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --file staging.kdl --json']
  static override flags = {file: flags.file}

  async run(): Promise<{readonly path: string; readonly vms: readonly string[]; readonly warnings: readonly Problem[]}> {
    const {flags: given} = await this.parse(Validate)
    const vmfile = await this.readVmfile(await this.openEngine(given), given.file)
    const vms = vmfile.vms.map(({name}) => name)
    this.log(`${vmfile.path} is valid; it defines ${vms.join(', ')}.`)
    return {path: vmfile.path, vms, warnings: vmfile.warnings}
  }
}

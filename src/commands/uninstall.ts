import {Flags} from '@oclif/core'

import * as flags from '../cli/flags.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'

export default class Uninstall extends VmfileCommand {
  static override summary = 'Remove the systemd unit of a VMFile; its VMs stay.'
  static override examples = ['<%= config.bin %> <%= command.id %>', 'sudo <%= config.bin %> <%= command.id %> --system']
  static override flags = {file: flags.file, system: Flags.boolean({summary: 'The unit of the system, not that of the user.'})}

  async run(): Promise<{readonly unit: string; readonly path: string; readonly removed: boolean}> {
    const {flags: given} = await this.parse(Uninstall)
    const engine = await this.openEngine(given)
    const vmfile = await this.readVmfile(engine, given.file, {toleratesMissing: true})
    const {uninstall} = await import('../engine/manage/install.ts')
    const result = await uninstall(engine, {vmfile, system: given.system})
    this.log(result.removed ? `${result.path} is removed.` : `${result.path} does not exist; nothing is done.`)
    return result
  }
}

import type {PluginHome} from '../engine/manage/plugins.ts'
import {VmctlCommand} from './base-command.ts'

/** What changes the list of plugins. It opens no engine, which a broken plugin may prevent. */
export abstract class PluginsCommand extends VmctlCommand {
  protected home(): PluginHome {
    this.watchSignals()
    const {dataDir: directory, root: vmctl} = this.config
    return {directory, vmctl, cwd: process.cwd(), signal: this.signal, tell: (message) => this.tell(message)}
  }
}

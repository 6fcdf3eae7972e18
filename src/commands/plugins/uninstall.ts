import * as Args from '@oclif/core/args'

import {PluginsCommand} from '../../cli/plugins-command.ts'
import type {PluginSummary} from '../../engine/manage/plugins.ts'

export default class PluginsUninstall extends PluginsCommand {
  static override aliases = ['plugins:unlink', 'plugins:remove']
  static override summary = 'Remove a plugin that was installed, or unlink one.'
  static override description = 'The directory of a linked plugin stays as it is.'
  static override args = {
    plugin: Args.string({description: 'Name of the plugin, or the directory that is linked.', required: true}),
  }
  static override examples = ['<%= config.bin %> <%= command.id %> vmctl-plugin-note']

  async run(): Promise<{readonly uninstalled: PluginSummary}> {
    const {args} = await this.parse(PluginsUninstall)
    const {uninstallPlugin} = await import('../../engine/manage/plugins.ts')
    const uninstalled = await uninstallPlugin(this.home(), args.plugin)
    this.log(`${uninstalled.name}: ${uninstalled.type === 'link' ? 'unlinked' : 'uninstalled'}`)
    return {uninstalled}
  }
}

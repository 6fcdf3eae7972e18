import {PluginsCommand} from '../../cli/plugins-command.ts'
import type {PluginSummary} from '../../engine/manage/plugins.ts'

export default class PluginsUpdate extends PluginsCommand {
  static override summary = 'Install the newest versions of the installed plugins.'
  static override description = 'Linked plugins are left alone.'
  static override examples = ['<%= config.bin %> <%= command.id %>']

  async run(): Promise<{readonly updated: readonly PluginSummary[]}> {
    await this.parse(PluginsUpdate)
    const {updatePlugins} = await import('../../engine/manage/plugins.ts')
    const updated = await updatePlugins(this.home())
    for (const {name, version} of updated) this.log(`${name}: ${version} installed`)
    if (updated.length === 0) this.log('No plugins are installed.')
    return {updated}
  }
}

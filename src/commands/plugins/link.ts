import * as Args from '@oclif/core/args'

import {PluginsCommand} from '../../cli/plugins-command.ts'
import type {PluginSummary} from '../../engine/manage/plugins.ts'

export default class PluginsLink extends PluginsCommand {
  static override summary = 'Use a plugin from the directory where it is.'
  static override description =
    'For a plugin that is being written: what changes there is used at once. Nothing is installed, so what it needs and what builds it is up to you. It takes the place of an installed plugin of its name.'
  static override args = {path: Args.string({description: 'Directory of the plugin.', default: '.'})}
  static override examples = ['<%= config.bin %> <%= command.id %> ./examples/plugin-note']

  async run(): Promise<{readonly linked: PluginSummary}> {
    const {args} = await this.parse(PluginsLink)
    const {linkPlugin} = await import('../../engine/manage/plugins.ts')
    const linked = await linkPlugin(this.home(), args.path)
    this.log(`${linked.name}: ${linked.version} linked to ${linked.root}`)
    return {linked}
  }
}

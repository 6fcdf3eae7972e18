import * as Args from '@oclif/core/args'

import {PluginsCommand} from '../../cli/plugins-command.ts'
import type {PluginSummary} from '../../engine/manage/plugins.ts'

export default class PluginsInstall extends PluginsCommand {
  static override aliases = ['plugins:add']
  static override summary = 'Install a plugin by npm.'
  static override description =
    'Takes a package of the registry, a directory, an archive (.tgz), a URL, or OWNER/REPOSITORY of GitHub, and what it depends on. npm has to be installed. No code of the plugin runs meanwhile, nor do its install scripts; it runs with every later command of vmctl, so install only what you trust. A plugin of the same name is replaced.'
  static override args = {plugin: Args.string({description: 'NAME, NAME@VERSION, a path or a URL.', required: true})}
  static override examples = [
    '<%= config.bin %> <%= command.id %> vmctl-plugin-example',
    '<%= config.bin %> <%= command.id %> vmctl-plugin-example@1.2',
    '<%= config.bin %> <%= command.id %> ./vmctl-plugin-example-1.2.0.tgz',
  ]

  async run(): Promise<{readonly installed: PluginSummary}> {
    const {args} = await this.parse(PluginsInstall)
    const {installPlugin} = await import('../../engine/manage/plugins.ts')
    const installed = await installPlugin(this.home(), args.plugin)
    this.log(`${installed.name}: ${installed.version} installed`)
    return {installed}
  }
}

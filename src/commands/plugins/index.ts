import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../../cli/base-command.ts'
import {type Column, listing} from '../../cli/table.ts'
import type {PluginSummary} from '../../engine/manage/plugins.ts'

const columns: readonly Column[] = [
  {title: 'NAME'},
  {title: 'VERSION'},
  {title: 'TYPE', spare: 3},
  {title: 'FROM', long: 'cut', spare: 2},
  {title: 'DIRECTORY', long: 'cut-beginning', spare: 1},
]

export default class Plugins extends VmctlCommand {
  static override aliases = ['plugins:list', 'plugins:ls']
  static override summary = 'List the plugins that are installed or linked.'
  static override flags = {core: Flags.boolean({summary: 'Show those that are part of vmctl, too.'})}
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly plugins: readonly PluginSummary[]}> {
    const {flags} = await this.parse(Plugins)
    const {listPlugins} = await import('../../engine/manage/plugins.ts')
    const plugins = [...(flags.core ? this.#core() : []), ...(await listPlugins({directory: this.config.dataDir}))]
    const rows = plugins.map(({name, version = 'not there', type, from, root}) => [name, version, type, from ?? '-', root])
    this.log(listing(columns, rows, {empty: 'No plugins. `vmctl plugins install PACKAGE` adds one.'}))
    return {plugins}
  }

  #core(): PluginSummary[] {
    return this.config
      .getPluginsList()
      .filter(({type, isRoot}) => type === 'core' && !isRoot)
      .map(({name, version, root}) => ({name, type: 'core', version, root}))
  }
}

import {VmctlCommand} from '../cli/base-command.ts'
import {wrap} from '../cli/display-width.ts'
import {screenOf} from '../cli/screen.ts'
import {stateStyle} from '../cli/state-style.ts'
import {table} from '../cli/table.ts'
import type {Check} from '../model/check.ts'
import {exitCodes} from '../model/errors.ts'

export default class Doctor extends VmctlCommand {
  static override summary = 'Check this host, and explain how to fix what is missing.'
  static override description =
    'Programs are run and a tiny guest is started with each accelerator, so what it says has been tried. Exit status 4 when something is missing that everybody needs.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly checks: readonly Check[]}> {
    const {flags} = await this.parse(Doctor)
    const engine = await this.openEngine(flags)
    const {examine} = await import('../engine/show/doctor.ts')
    const checks = await examine(engine)
    const screen = screenOf(process.stdout)
    this.log(
      table(
        [{title: '', style: stateStyle}, 'CHECK', 'DETAIL'],
        checks.map(({name, status, detail}) => [status, name, detail]),
        screen,
      ),
    )
    for (const {name, help} of checks) if (help !== undefined) this.log(wrap(`${name}: ${help}`, screen.width ?? Infinity).join('\n'))
    if (checks.some(({status}) => status === 'fail')) process.exitCode = exitCodes.host
    return {checks}
  }
}

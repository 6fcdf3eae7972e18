import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../cli/base-command.ts'
import {wrap} from '../cli/wrap.ts'
import {screenOf} from '../cli/screen.ts'
import {stateStyle} from '../cli/state-style.ts'
import {table} from '../cli/table.ts'
import type {Check} from '../model/check.ts'
import {exitCodes} from '../model/errors.ts'

export default class Doctor extends VmctlCommand {
  static override summary = 'Check this host or a home, and explain how to fix it.'
  static override description =
    'Programs are run and a tiny guest is started with each accelerator, so what it says has been tried. Of a home it says which Incus its server has, whether it trusts vmctl and for which projects, whether it can run VMs, the room in its pools, and of a cluster which members are there. Exit status 4 when something is missing that everybody needs.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --json',
    '<%= config.bin %> <%= command.id %> --home lab',
  ]
  static override flags = {home: Flags.string({summary: 'Look at the server of this home in place of this host.', helpValue: 'NAME'})}

  async run(): Promise<{readonly checks: readonly Check[]}> {
    const {flags} = await this.parse(Doctor)
    const engine = await this.openEngine(flags)
    const {examine, examineHome} = await import('../engine/show/doctor.ts')
    const checks = flags.home === undefined ? await examine(engine) : await examineHome(engine, flags.home)
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

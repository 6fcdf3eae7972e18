import * as Flags from '@oclif/core/flags'

import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import {drawTimings} from '../cli/timings-chart.ts'
import {quote} from '../model/quote.ts'
import type {VmResult} from '../engine/converge/result.ts'

export default class Up extends VmfileCommand {
  static override summary = 'Bring up the VMs of a VMFile: create, start and provision what is not yet so.'
  static override description =
    'A VM that does not exist is created, started and provisioned; a stopped one is started and provisioned again; on a running one only the steps run that have not succeeded as they are written now. `vmctl why VM` tells why a step runs or not. Running it twice does nothing the second time. VMs start in the order of their `depends-on`, and side by side where that leaves it open; with names, what those VMs depend on is brought up too.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> web --no-provision']
  static override args = flags.vmArguments
  static override flags = {
    ...flags.locking,
    adopt: flags.adopt,
    autostart: Flags.boolean({summary: 'Only the VMs that start at boot: those without `autostart #false`.'}),
    file: flags.file,
    name: flags.names,
    'no-deps': flags.noDependencies,
    'no-health': Flags.boolean({
      summary: 'Wait for guests to be ready, not for their health checks to pass.',
      exclusive: ['wait'],
    }),
    'no-provision': flags.noProvision,
    parallel: flags.parallel,
    'remove-orphans': flags.removeOrphans,
    timings: flags.timings,
    wait: Flags.boolean({summary: 'Wait until every VM with a health check is healthy, not only those that others wait for.'}),
  }

  async run(): Promise<{readonly vms: readonly VmResult[]}> {
    const {args, flags: given} = await this.parse(Up)
    const result = await this.converge(given, {
      verb: 'up',
      names: flags.namesOf(args, given),
      adopt: given.adopt,
      autostart: given.autostart,
      provision: !given['no-provision'],
      noDependencies: given['no-deps'],
      parallel: given.parallel,
      removeOrphans: given['remove-orphans'],
      healthy: given.wait,
      ignoreHealth: given['no-health'],
    })
    for (const {name, state} of result.vms) this.log(`VM '${name}' is ${state}.`)
    if (given.timings) this.log(drawTimings(result.vms))
    const next = nextOf(result.vms, given.file)
    if (next !== undefined) this.log(next)
    return result
  }
}

/** What one does with VMs that are new, shown for one of them. */
const nextOf = (vms: readonly VmResult[], file: string | undefined): string | undefined => {
  const made = vms.filter(({actions}) => actions.some(({action}) => action === 'create'))
  const shown = made.find(({login}) => login) ?? made[0]
  if (!shown) return undefined
  const {name, login} = shown
  return `Next: vmctl ${login ? 'ssh' : 'console'} ${name} · vmctl log ${name} · vmctl down${file === undefined ? '' : ` --file ${/^[\w@%+=:,./-]+$/.test(file) ? file : quote(file)}`}`
}

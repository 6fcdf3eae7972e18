import * as Flags from '@oclif/core/flags'

import type {Asked} from '../cli/base-command.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import {screenOf} from '../cli/screen.ts'
import {drawTimings} from '../cli/timings-chart.ts'
import type {VmResult} from '../engine/converge/result.ts'

export default class Up extends VmfileCommand {
  static override summary = 'Create, start and provision the VMs of a VMFile.'
  static override description =
    'A VM that does not exist is created, started and provisioned; a stopped one is started and provisioned again; on a running one only the steps run that have not succeeded as they are written now. `vmctl why VM` says why a step runs or not. Run twice, it does nothing the second time. VMs start in the order of their `depends-on`, otherwise side by side; VMs that the named ones depend on are brought up too.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> web --no-provision']
  static override args = flags.vmArguments
  static override flags = {
    ...flags.locking,
    ...flags.locked,
    adopt: flags.adopt,
    'discard-saved': flags.discardSaved,
    autostart: Flags.boolean({summary: 'Only the VMs that start at boot: those without `autostart #false`.'}),
    file: flags.file,
    home: flags.home,
    name: flags.names,
    'no-deps': flags.noDependencies,
    'no-health': Flags.boolean({
      summary: 'Wait for guests to be ready, not for their health checks to pass.',
      exclusive: ['wait'],
    }),
    'no-cache': flags.noCache,
    'no-provision': flags.noProvision,
    parallel: flags.parallel,
    'remove-orphans': flags.removeOrphans,
    timings: flags.timings,
    warm: Flags.boolean({
      summary: 'Have `vmctl down` keep the memory of these VMs on disk, as `warm #true` in the project does, until an `up` without --warm.',
    }),
    yes: flags.yes,
    wait: Flags.boolean({summary: 'Wait until every VM with a health check is healthy, not only those that others wait for.'}),
  }

  async run(): Promise<{readonly vms: readonly VmResult[]}> {
    const {args, flags: given} = await this.parse(Up)
    const ask = (): Asked => ({what: 'up --remove-orphans removes these VMs with their disks, keys and logs:', yes: given.yes})
    const options = {
      verb: 'up' as const,
      names: flags.namesOf(args, given),
      adopt: given.adopt,
      autostart: given.autostart,
      warm: given.warm,
      discardSaved: given['discard-saved'],
      provision: !given['no-provision'],
      layers: !given['no-cache'],
      noDependencies: given['no-deps'],
      parallel: given.parallel,
      removeOrphans: given['remove-orphans'],
      healthy: given.wait,
      ignoreHealth: given['no-health'],
    }
    const result = await this.converge(given, options, given['remove-orphans'] ? ask : undefined)
    if (given.timings) this.log(drawTimings(result.vms, screenOf(process.stdout)))
    const next = nextOf(result.vms, given.file === undefined ? this.project : undefined)
    if (next !== undefined) this.log(`Next: ${next}`)
    return result
  }
}

/** What one does first with VMs that are new, shown for one of them. */
const nextOf = (vms: readonly VmResult[], project: string | undefined): string | undefined => {
  const made = vms.filter(({actions}) => actions.some(({action}) => action === 'create'))
  const shown = made.find(({login}) => login) ?? made[0]
  if (!shown) return undefined
  return `vmctl ${shown.login ? 'ssh' : 'console'} ${project === undefined ? shown.name : shown.name.slice(project.length + 1)}`
}

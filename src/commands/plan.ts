import * as Flags from '@oclif/core/flags'

import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import {screenOf} from '../cli/screen.ts'
import {table} from '../cli/table.ts'
import type {VmPlan} from '../engine/plan/vm-plan.ts'
import {VmctlError} from '../model/errors.ts'

export default class Plan extends VmfileCommand {
  static override summary = 'Show what `vmctl up` would do, and why, without doing it.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --for reload --json',
    '<%= config.bin %> <%= command.id %> --for provision --from 2',
  ]
  static override args = flags.vmArguments
  static override flags = {
    adopt: flags.adopt,
    file: flags.file,
    home: flags.home,
    name: flags.names,
    'no-deps': flags.noDependencies,
    for: Flags.option({
      options: ['up', 'down', 'reload', 'provision'] as const,
      default: 'up' as const,
      summary: 'The command to plan for.',
    })(),
    destroy: Flags.boolean({summary: 'Plan for `vmctl down --destroy`.'}),
    'no-cache': flags.noCache,
    'no-provision': flags.noProvision,
    'remove-orphans': flags.removeOrphans,
    ...flags.steps,
  }

  async run(): Promise<{readonly vms: readonly VmPlan[]}> {
    const {args, flags: given} = await this.parse(Plan)
    const request = flags.stepRequest(given)
    if (request && given.for !== 'provision') {
      throw new VmctlError('vmctl::usage::invalid', `Steps are chosen with \`vmctl provision\` only, not with \`vmctl ${given.for}\`.`, {
        help: 'Add `--for provision`.',
      })
    }
    const engine = await this.openEngine(given)
    const vmfile = await this.readVmfile(engine, given.file)
    const {planAll} = await import('../engine/converge/converge.ts')
    const vms = await planAll(engine, {
      vmfile,
      names: flags.namesOf(args, given),
      adopt: given.adopt,
      noDependencies: given['no-deps'],
      verb: given.destroy ? 'down' : given.for,
      provision: !given['no-provision'],
      layers: !given['no-cache'],
      destroy: given.destroy,
      request,
      removeOrphans: given['remove-orphans'],
    })
    const {describeVerdict, isDue} = await import('../engine/plan/verdicts.ts')
    const rows = vms.flatMap(({vm, steps, notices, provision}) => [
      ...steps.flatMap(({action, cause}) =>
        action === 'provision' && provision.some(isDue)
          ? provision.filter(isDue).map((one) => [vm, action, describeVerdict(one)])
          : [[vm, action, cause]],
      ),
      ...(steps.length === 0 && notices.length === 0 ? [[vm, 'none', 'running and unchanged']] : []),
      ...notices.map((notice) => [vm, steps.length === 0 ? 'none' : 'note', notice]),
    ])
    this.log(table(['VM', 'ACTION', 'CAUSE'], rows, screenOf(process.stdout)))
    if (vmfile.impliesNetwork) this.log('The VMs of the project share a network, "default"; `network "user"` keeps a VM out of it.')
    return {vms}
  }
}

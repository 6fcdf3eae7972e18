import * as Args from '@oclif/core/args'

import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import {screenOf} from '../cli/screen.ts'
import {table} from '../cli/table.ts'
import type {VmPlan} from '../engine/plan/vm-plan.ts'

const words = {run: 'run', continue: 'go on', rerun: 'run anew', check: 'be checked', skip: 'stay', undecided: 'wait for you'} as const

export default class Why extends VmfileCommand {
  static override summary = 'Show which provision steps `vmctl up` would run, and why.'
  static override args = {name: Args.string({description: 'Name of the VM in the VMFile; may be left out when it defines one.'})}
  static override examples = ['<%= config.bin %> <%= command.id %> web', '<%= config.bin %> <%= command.id %> web --json']
  static override flags = {file: flags.file}

  async run(): Promise<VmPlan> {
    const {args, flags: given} = await this.parse(Why)
    const engine = await this.openEngine(given)
    const vmfile = await this.readVmfile(engine, given.file)
    const [{planOne}, {onlyVm}] = await Promise.all([import('../engine/converge/converge.ts'), import('../engine/find.ts')])
    const plan = await planOne(engine, args.name ?? onlyVm(vmfile, 'why'), {vmfile, verb: 'up', provision: true})
    const rows = plan.provision.map(({step, title, verdict, cause}) => [`step ${step}`, words[verdict], title, cause])
    const actions = plan.steps.filter(({action}) => action !== 'provision').map(({action, cause}) => ['VM', action, '', cause])
    this.log(table(['WHAT', 'WILL', {title: 'TITLE', long: 'cut'}, 'WHY'], [...actions, ...rows], screenOf(process.stdout)))
    for (const notice of plan.notices) this.log(`${plan.vm}: ${notice}`)
    return plan
  }
}

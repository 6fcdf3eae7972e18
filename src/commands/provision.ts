import * as Flags from '@oclif/core/flags'

import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import type {VmResult} from '../engine/converge.ts'

const number = (name: string, summary: string, ...others: readonly string[]) =>
  Flags.integer({min: 1, helpValue: 'N', summary, exclusive: others.filter((other) => other !== name)})

const choices = ['step', 'from', 'rerun', 'all'] as const

export default class Provision extends VmfileCommand {
  static override summary = 'Run provision steps again on running VMs: all of them, unless told which.'
  static override description =
    'Steps count from 1. What an earlier run of a step has left in the guest is ended before the step runs anew.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --name builder --step 2',
    '<%= config.bin %> <%= command.id %> --rerun 3',
  ]
  static override flags = {
    ...flags.locking,
    file: flags.file,
    name: flags.names,
    step: number('step', 'Run only this step.', ...choices),
    from: number('from', 'Run this step and all after it.', ...choices),
    rerun: number('rerun', 'Forget what became of this step, run it again, then go on with what is not done.', ...choices),
    all: Flags.boolean({summary: 'Run all steps; the default.', exclusive: ['step', 'from', 'rerun']}),
  }

  async run(): Promise<{readonly vms: readonly VmResult[]}> {
    const {flags: given} = await this.parse(Provision)
    const kind = (['step', 'from', 'rerun'] as const).find((one) => given[one] !== undefined)
    const request = kind === undefined ? {kind: 'all' as const} : {kind, step: given[kind] ?? 0}
    const result = await this.converge(given, {verb: 'provision', provision: true, request})
    for (const {name, actions} of result.vms) if (actions.some(({action}) => action === 'provision')) this.log(`VM '${name}' provisioned.`)
    return result
  }
}

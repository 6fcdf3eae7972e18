import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../cli/base-command.ts'
import {age, gigabytes} from '../cli/flags.ts'
import type {PrunedLayer, PrunedLayers} from '../engine/manage/prune-layers.ts'
import {formatSize} from '../model/quantity.ts'

export default class Prune extends VmctlCommand {
  static override summary = 'Remove layers of provision steps that nothing uses.'
  static override description =
    'Without a flag, all layers on which no disk of a VM stands; each flag lets more stay. What is lost is time: the next VM that could have started from one runs these steps itself. Images are removed by `vmctl image prune`.'
  static override flags = {
    'older-than': age({summary: 'Only those from which no VM was made for so long.'}),
    'max-size': gigabytes({summary: 'Only until all layers take no more than this; those that were used least recently go first.'}),
    'dry-run': Flags.boolean({summary: 'Say what would go, and remove nothing.'}),
  }
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --older-than 7d --dry-run']

  async run(): Promise<PrunedLayers> {
    const {flags} = await this.parse(Prune)
    const rules = {unusedMs: flags['older-than'], mostBytes: flags['max-size']}
    const engine = await this.openEngine(flags)
    const {prunableLayers, pruneLayers} = await import('../engine/manage/prune-layers.ts')
    const pruned = await (flags['dry-run'] ? prunableLayers : pruneLayers)(engine, rules)
    this.log(wordsOf(pruned))
    return pruned
  }
}

const wordsOf = ({remove, freedBytes, dryRun}: PrunedLayers): string => {
  if (remove.length === 0) return 'Nothing to remove.'
  const what = dryRun ? 'would be removed' : 'removed'
  return [
    ...remove.map((one) => `${nameOf(one)}: ${what}, ${formatSize(one.freedBytes)}`),
    `${formatSize(freedBytes)} ${dryRun ? 'would be free' : 'freed'}.`,
  ].join('\n')
}

const nameOf = ({id, vm, step, title}: PrunedLayer): string =>
  vm === undefined ? `layer ${id}, of a command that was killed` : `layer ${id} of ${vm}, after step ${step} (${title})`

import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../../cli/base-command.ts'
import {age, gigabytes, yes} from '../../cli/flags.ts'
import type {Pruned} from '../../engine/manage/prune.ts'
import {formatSize} from '../../model/quantity.ts'

export default class ImagePrune extends VmctlCommand {
  static override summary = 'Remove images that nothing uses from the cache.'
  static override description =
    'Without a flag, all images that no VM stands on, and downloads that were cut a day ago or earlier; each flag lets more stay. An image counts as used when it is fetched, when a VM is made from it, and when that VM is destroyed. What is fetched at the moment stays.'
  static override flags = {
    'older-than': age({summary: 'Only those that were not used for so long.'}),
    'keep-builds': Flags.integer({min: 1, helpValue: 'N', summary: 'Keep the newest N builds of each name and URL.'}),
    'max-size': gigabytes({summary: 'Only until the cache takes no more than this; those that were used least recently go first.'}),
    'dry-run': Flags.boolean({summary: 'Say what would go, and remove nothing.'}),
    yes,
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> --older-than 30d',
    '<%= config.bin %> <%= command.id %> --keep-builds 1 --max-size 20G',
    '<%= config.bin %> <%= command.id %> --dry-run',
  ]

  async run(): Promise<Pruned> {
    const {flags} = await this.parse(ImagePrune)
    const rules = {olderThanMs: flags['older-than'], keepBuilds: flags['keep-builds'], maxBytes: flags['max-size']}
    const engine = await this.openEngine(flags)
    const {prunable, prune} = await import('../../engine/manage/prune.ts')
    const plan = await prunable(engine, rules)
    if (!flags['dry-run'] && plan.remove.length > 0) {
      await this.confirmLoss(engine, {
        what: `image prune removes these from the cache, ${formatSize(plan.freedBytes)}:`,
        losses: plan.remove.map(({names, freedBytes, lastUsedAt}) => ({
          kind: 'image',
          name: names.join(', '),
          diskBytes: freedBytes,
          lastUsedAt,
        })),
        instead: 'What needs one of them fetches it again, if its publisher still has it.',
        yes: flags.yes,
      })
    }
    const done = flags['dry-run'] || plan.remove.length === 0 ? {...plan, dryRun: flags['dry-run']} : await prune(engine, rules, plan)
    this.log(wordsOf(done))
    if (rules.maxBytes !== undefined && done.keptBytes > rules.maxBytes) {
      this.tell(
        `${formatSize(done.keptBytes)} stay, which is more than ${formatSize(rules.maxBytes)}: they are in use, or another flag keeps them.`,
      )
    }
    return done
  }
}

const wordsOf = ({remove, freedBytes, keptBytes, dryRun}: Pruned): string => {
  if (remove.length === 0) return `Nothing to remove; the images of the cache take ${formatSize(keptBytes)}.`
  const what = dryRun ? 'would be removed' : 'removed'
  return [
    ...remove.map((one) => `${one.names.join(', ')}: ${what}, ${formatSize(one.freedBytes)}`),
    `${formatSize(freedBytes)} ${dryRun ? 'would be free' : 'freed'}; ${formatSize(keptBytes)} ${dryRun ? 'would stay' : 'stay'} in the cache.`,
  ].join('\n')
}

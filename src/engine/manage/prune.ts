import {planPrune, pruneImages, type PrunePlan, type PruneRules} from '../../image/prune.ts'
import type {Engine} from '../engine.ts'
import {imageUses} from './image-uses.ts'

/** What became of a prune; the `--json` shape of `vmctl image prune`. */
export interface Pruned extends PrunePlan {
  /** Nothing was removed. */
  readonly dryRun: boolean
}

/**
 * What a prune would remove.
 * @throws VmctlError `vmctl::vm::record_damaged` when a VM may stand on any image
 */
export const prunable = async (engine: Engine, rules: PruneRules): Promise<Pruned> => ({
  ...(await planPrune(engine.images, {rules, uses: () => imageUses(engine)})),
  dryRun: true,
})

/**
 * Removes the images of a plan that still may go, and no others.
 * @throws VmctlError `vmctl::vm::record_damaged` when a VM may stand on any image
 */
export const prune = async (engine: Engine, rules: PruneRules, plan: PrunePlan): Promise<Pruned> => {
  const agreed = new Set(plan.remove.map(({path}) => path))
  return {...(await pruneImages(engine.images, {rules, agreed, uses: () => imageUses(engine)})), dryRun: false}
}

import {type DeclaredStep, digest} from './declare.ts'

/** What the disk of a VM is made of, step by step: two VMs with the same chain so far have the same done to the same image. */
export interface Chain {
  /** After each step from the first one on, as far as layers may hold the results. */
  readonly hashes: readonly string[]
  /** The step that no layer may hold, counted from 1, and why, in words; absent when all of them may be held. */
  readonly end?: {readonly step: number; readonly why: string}
}

/**
 * The chain of steps on what is below them; pure. It ends before the first step that makes something of its own, or that has secrets.
 * @param root hash of what the first step is run on
 * @param against why no step is kept unless the VMFile asks for it
 */
export const chainOf = (root: string, steps: readonly DeclaredStep[], against?: string): Chain => {
  const hashes: string[] = []
  let last = root
  for (const [index, {type, facts, kept}] of steps.entries()) {
    const isAsked = kept !== undefined && 'asked' in kept
    const why = kept !== undefined && 'against' in kept ? kept.against : isAsked ? undefined : against
    if (why !== undefined) return {hashes, end: {step: index + 1, why}}
    last = digest([last, type, facts])
    hashes.push(last)
  }
  return {hashes}
}

/** Whether a start from a layer saves the time of a step; else it runs again at each start. */
export const isSaved = ({run, isChecked}: Pick<DeclaredStep, 'run' | 'isChecked'>): boolean => run !== 'always' || isChecked

/** Whether a layer is kept after a step: it was asked for, or saves enough since the last one. There is nothing to keep of a step that follows on others. */
export const isWorthLayer = (
  {kept, follows}: Pick<DeclaredStep, 'kept' | 'follows'>,
  {savedMs, leastMs}: {readonly savedMs: number; readonly leastMs: number},
): boolean => !follows && (savedMs >= leastMs || (kept !== undefined && 'asked' in kept))

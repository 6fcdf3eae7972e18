import {isActive, type StepVerdict, unfinishedRuns} from '../../provision/run/decide.ts'
import type {DeclaredStep} from '../../provision/run/declare.ts'
import type {Journal} from '../../provision/run/journal.ts'

/** Whether a step is not left alone. */
export const isDue = (verdict: StepVerdict): boolean => isActive(verdict) || verdict.verdict === 'undecided'

/** `step 2 (script: setup.sh): script setup.sh changed`. */
export const describeVerdict = ({step, title, cause}: StepVerdict): string => `step ${step} (${title}): ${cause}`

/** What the user may want to know of steps that stay as they are. */
export const noticesOf = (provision: readonly StepVerdict[]): string[] =>
  provision.flatMap(({step, title, notice}) =>
    notice === undefined ? [] : [`step ${step} (${title}): ${notice}; \`vmctl provision --step ${step}\` runs it again`],
  )

/** Runs that are left in the guest of steps that are no longer declared, in words. */
export const runsToEnd = (steps: readonly DeclaredStep[], journal: Journal): string[] =>
  unfinishedRuns(journal, steps).map(
    ({title}) => `a run of a step that is no longer declared may be left in the guest, and is ended first (${title})`,
  )

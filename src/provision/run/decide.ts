import {isDeepStrictEqual} from 'node:util'

import type {DeclaredStep} from './declare.ts'
import type {Journal, JournalEntry} from './journal.ts'

/** What will be done about one step, and why; counted from 1. */
export interface StepVerdict {
  readonly step: number
  readonly title: string
  /**
   * `continue` follows a run that an earlier vmctl left; `rerun` ends what is left of one first; `check` asks the guest
   * whether the step has to run; `skip` leaves the step as it is; `undecided` has an unknown outcome, so that the user must
   * say what to do.
   */
  readonly verdict: 'run' | 'continue' | 'rerun' | 'check' | 'skip' | 'undecided'
  /** In words: `conf/nginx.conf changed`, `never run`, `done`. */
  readonly cause: string
  /** What the user may want to know of a step that is skipped. */
  readonly notice?: string
}

/** What `vmctl provision` was asked for; steps count from 1. */
export type Request = {readonly kind: 'all'} | {readonly kind: 'step' | 'from' | 'rerun'; readonly step: number}

export interface Situation {
  /** The VM is started for this run, so the steps of the mode `always` run again, or are checked. */
  readonly restarted: boolean
  readonly request?: Request | undefined
}

/** Whether a verdict means that the guest is asked for something. */
export const isActive = (verdict: Pick<StepVerdict, 'verdict'>): boolean => isRun(verdict) || verdict.verdict === 'check'

/** Whether it is certain already that the step runs. */
const isRun = ({verdict}: Pick<StepVerdict, 'verdict'>): boolean => verdict === 'run' || verdict === 'continue' || verdict === 'rerun'

/** Decides about every step from what is known of it; pure. */
export const decideSteps = (journal: Journal, steps: readonly DeclaredStep[], situation: Situation): StepVerdict[] => {
  const entries = matchEntries(journal, steps)
  const verdicts: StepVerdict[] = []
  const wasStarted = situation.restarted || journal.restarted === true
  for (const [index, step] of steps.entries()) {
    const decision =
      decideByRequest(index + 1, situation.request) ?? decideByJournal(step, entries[index], {situation, wasStarted, before: verdicts})
    verdicts.push({step: index + 1, title: step.title, ...decision})
  }
  return verdicts
}

type Decision = Pick<StepVerdict, 'verdict' | 'cause' | 'notice'>

/** What was asked for goes over everything that is known; a run that is still under way is ended for it. */
const decideByRequest = (number: number, request: Request | undefined): Decision | undefined => {
  if (!request) return undefined
  if (request.kind === 'all') return {verdict: 'rerun', cause: 'asked for'}
  const isMeant = request.kind === 'from' ? number >= request.step : number === request.step
  if (isMeant) return {verdict: 'rerun', cause: `asked for (--${request.kind} ${request.step})`}
  return request.kind === 'rerun' ? undefined : {verdict: 'skip', cause: 'not asked for'}
}

const decideByJournal = (
  step: DeclaredStep,
  entry: JournalEntry | undefined,
  {situation, wasStarted, before}: {readonly situation: Situation; readonly wasStarted: boolean; readonly before: readonly StepVerdict[]},
): Decision => {
  if (!entry) return {verdict: 'run', cause: 'never run'}
  const change = describeChange(step, entry)
  switch (entry.state) {
    case 'pending':
      return {verdict: 'run', cause: entry.cause ?? 'never run'}
    case 'running':
      return change === undefined ? {verdict: 'continue', cause: 'never finished'} : {verdict: 'rerun', cause: change}
    case 'failed':
      return {verdict: 'run', cause: change ?? 'failed last time'}
    case 'interrupted':
      return {verdict: 'run', cause: change ?? 'interrupted last time'}
    case 'unknown':
      return {verdict: 'undecided', cause: entry.message ?? 'its outcome is unknown'}
    case 'done':
      return decideAgain(step, change, {origin: entry.layer, restarted: situation.restarted, wasStarted, before})
  }
}

/** Whether a step that is done runs again. */
const decideAgain = (
  step: DeclaredStep,
  change: string | undefined,
  {
    origin,
    restarted,
    wasStarted,
    before,
  }: {
    readonly origin: string | undefined
    readonly restarted: boolean
    readonly wasStarted: boolean
    readonly before: readonly StepVerdict[]
  },
): Decision => {
  const [once, unchanged] =
    origin === undefined ? ['done once', 'done, unchanged'] : [`from layer ${origin}, once`, `from layer ${origin}, unchanged`]
  if (step.run === 'once')
    return {verdict: 'skip', cause: once, ...(change !== undefined && {notice: `${change}, but it is done once and for all`})}
  if (step.follows) return decideToFollow(before)
  if (change !== undefined) return {verdict: 'run', cause: change}
  if (step.run !== 'always') return {verdict: 'skip', cause: unchanged}
  if (step.isChecked && wasStarted) return {verdict: 'check', cause: 'the VM was restarted; runs if its result is gone'}
  return restarted && !step.isChecked ? {verdict: 'run', cause: 'the VM was restarted'} : {verdict: 'skip', cause: unchanged}
}

const decideToFollow = (before: readonly StepVerdict[]): Decision => {
  if (before.some(isRun)) return {verdict: 'run', cause: 'steps before it run'}
  return before.some(isActive)
    ? {verdict: 'check', cause: 'runs if a step before it does'}
    : {verdict: 'skip', cause: 'no step before it runs'}
}

/** What is different from when the step was last run, in words; undefined when nothing is. */
const describeChange = (step: DeclaredStep, entry: JournalEntry): string | undefined => {
  if (entry.hash === step.hash) return undefined
  if (!entry.facts) return 'changed'
  const differing = (one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): string[] =>
    Object.keys(one).filter((name) => one[name] !== other[name])
  const names = differing(step.facts, entry.facts)
  const gone = differing(entry.facts, step.facts)
  // Below a directory that was there before and is there now, a name is a file that came or went.
  const directories = Object.keys(step.facts).filter((name) => Object.hasOwn(entry.facts ?? {}, name))
  const cameOrWent = (name: string): boolean =>
    !(Object.hasOwn(step.facts, name) && Object.hasOwn(entry.facts ?? {}, name)) && directories.some((one) => name.startsWith(`${one}/`))
  const changed = names.filter((name) => !cameOrWent(name))
  const parts = [tell(changed, 'changed'), tell(names.filter(cameOrWent), 'added'), tell(gone.filter(cameOrWent), 'removed')].filter(
    (part) => part !== undefined,
  )
  if (parts.length > 0) return parts.join(', ')
  return tell(gone, 'changed') ?? 'a step before it changed'
}

const mostNames = 3

const tell = (names: readonly string[], word: string): string | undefined => {
  if (names.length === 0) return undefined
  const rest = names.length - mostNames
  return `${names.slice(0, mostNames).join(', ')}${rest > 0 ? ` and ${rest} more` : ''} ${word}`
}

/**
 * The entry of each step: one that was run with the very same facts, at the same place if possible; else the one at its
 * place, as the same step changed. So a step that is put in between does not make its neighbours other steps.
 */
export const matchEntries = ({steps: entries}: Journal, steps: readonly DeclaredStep[]): (JournalEntry | undefined)[] => {
  const matches = Array.from<JournalEntry | undefined>({length: steps.length})
  const free = new Set(entries)
  const take = (index: number, entry: JournalEntry | undefined, fits: boolean): void => {
    if (matches[index] !== undefined || entry === undefined || !fits || !free.has(entry)) return
    matches[index] = entry
    free.delete(entry)
  }
  const isOfKind = (step: DeclaredStep, entry: JournalEntry | undefined): boolean => entry?.type === undefined || entry.type === step.type
  const isSame = (step: DeclaredStep, entry: JournalEntry | undefined): boolean =>
    entry?.hash === step.hash || (entry?.type === step.type && isDeepStrictEqual(entry.facts, step.facts))
  for (const [index, step] of steps.entries()) take(index, entries[index], isSame(step, entries[index]))
  for (const [index, step] of steps.entries()) {
    const entry = entries.find((candidate) => free.has(candidate) && isSame(step, candidate))
    take(index, entry, true)
  }
  for (const [index, step] of steps.entries()) take(index, entries[index], isOfKind(step, entries[index]))
  return matches
}

/** Runs that may be left in the guest of steps that are no longer declared. */
export const unfinishedRuns = (journal: Journal, steps: readonly DeclaredStep[]): JournalEntry[] => {
  const matched = new Set(matchEntries(journal, steps))
  return [...(journal.removed ?? []), ...journal.steps.filter((entry) => entry.memory !== undefined && !matched.has(entry))]
}

/** The journal as it must be before the verdicts are carried out: a kill from then on leaves no step as done that is to run. */
export const openSteps = (journal: Journal, steps: readonly DeclaredStep[], verdicts: readonly StepVerdict[]): Journal => {
  const entries = matchEntries(journal, steps)
  const removed = unfinishedRuns(journal, steps)
  return {
    ...journal,
    ...(removed.length > 0 && {removed}),
    steps: steps.map((step, index) => {
      const entry = entries[index]
      const {verdict = 'run', cause = 'never run'} = verdicts[index] ?? {}
      // What may still be under way in the guest must be known until it was ended.
      const isKept = verdict === 'rerun' ? entry?.memory !== undefined : verdict !== 'run'
      return entry && isKept ? entry : pendingEntry(step, verdict === 'skip' ? 'never run' : cause)
    }),
  }
}

/** The journal once it is known that a step runs which was only to be checked: those that follow on others run too. */
export const openFollowers = (journal: Journal, steps: readonly DeclaredStep[], verdicts: readonly StepVerdict[]): Journal => ({
  ...journal,
  steps: journal.steps.map((entry, index) => {
    const step = steps[index]
    return step?.follows && verdicts[index]?.verdict === 'check' ? pendingEntry(step, 'steps before it run') : entry
  }),
})

export const pendingEntry = ({hash, type, title, facts}: DeclaredStep, cause: string): JournalEntry => ({
  hash,
  type,
  title,
  facts,
  state: 'pending',
  cause,
})

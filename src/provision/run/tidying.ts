import type {PreparedStep} from './declare.ts'
import type {StepVerdict} from './decide.ts'
import type {Journal} from './journal.ts'

/** What is put off until the result of a step is on record. */
export type Actions = readonly (() => Promise<void>)[]

interface Following {
  readonly next: {readonly step: PreparedStep; readonly index: number} | undefined
  readonly verdicts: readonly StepVerdict[]
  readonly journal: Journal
  /** Everything is done before the next step begins. */
  readonly settles: boolean
}

interface Tidying {
  readonly now: (actions: Actions) => void
  /** After a step that has succeeded: what the next one sweeps is left to it, and its success makes it needless. */
  readonly after: (step: PreparedStep, actions: Actions, following: Following) => Promise<void>
  /** Resolves when everything is done, what was left to a next step too. */
  readonly end: () => Promise<void>
}

/** Tidies up while the steps go on. Nothing that fails here matters. */
export const openTidying = (): Tidying => {
  const running: Promise<void>[] = []
  let left: Actions = []
  const now: Tidying['now'] = (actions) => {
    for (const action of actions) running.push(action().catch(() => undefined))
  }
  return {
    now,
    after: async (step, actions, following) => {
      const isLeft = !following.settles && isSwept(step, following)
      left = isLeft ? actions : []
      if (!isLeft) now(actions)
      if (following.settles) await Promise.all(running)
    },
    end: async () => {
      now(left)
      await Promise.all(running)
    },
  }
}

/** Whether the next step certainly begins anew, and removes what this one has left. */
const isSwept = ({provisioner}: PreparedStep, {next, verdicts, journal}: Following): boolean =>
  provisioner.sweeps === true &&
  next?.step.provisioner === provisioner &&
  verdicts[next.index]?.verdict !== 'check' &&
  journal.steps[next.index]?.memory === undefined

import type {PreparedStep} from './declare.ts'
import type {StepVerdict} from './decide.ts'
import type {Journal} from './journal.ts'

/** What is put off until the result of a step is on record. */
export type Actions = readonly (() => Promise<void>)[]

interface Tidying {
  readonly now: (actions: Actions) => void
  /** After a step that has succeeded: what the next one sweeps is left to it, and its success makes it needless. */
  readonly after: (step: PreparedStep, actions: Actions, next: Next | undefined) => void
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
    after: (step, actions, next) => {
      const isLeft = next !== undefined && isSwept(step, next)
      left = isLeft ? actions : []
      if (!isLeft) now(actions)
    },
    end: async () => {
      now(left)
      left = []
      await Promise.all(running)
    },
  }
}

interface Next {
  readonly step: PreparedStep
  readonly index: number
  readonly verdict: StepVerdict | undefined
  readonly journal: Journal
}

/** Whether the next step certainly begins anew, and removes what this one has left. */
const isSwept = ({provisioner}: PreparedStep, {step, index, verdict, journal}: Next): boolean =>
  provisioner.sweeps === true &&
  step.provisioner === provisioner &&
  verdict?.verdict !== 'check' &&
  journal.steps[index]?.memory === undefined

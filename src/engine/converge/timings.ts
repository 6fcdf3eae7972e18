import type {EngineEvent} from '../events.ts'
import type {Action} from '../plan/vm-plan.ts'

/** A stretch of time that one VM took for something. */
export interface Timing {
  /** An action, a milestone of the way from boot to a usable guest, or `step N`. */
  readonly what: string
  /** Of a step. */
  readonly title?: string
  /** Milliseconds from the beginning. */
  readonly startMs: number
  readonly durationMs: number
}

/** Derives from the events of one VM where its time went. */
export interface Stopwatch {
  note(event: EngineEvent): void
  /** Milliseconds of every action that was begun, in their order. */
  actions(): readonly number[]
  timings(): readonly Timing[]
}

/** These consist of milestones and steps, which are told one by one. */
const composed: ReadonlySet<Action> = new Set(['wait', 'configure', 'provision'])

export const startStopwatch = (): Stopwatch => {
  const origin = performance.now()
  const elapsed = (): number => performance.now() - origin
  const spans: {what: string; title?: string; startMs: number; endMs?: number}[] = []
  const actions: {startMs: number; endMs?: number}[] = []
  let milestoneStartMs = 0
  let step: (typeof spans)[number] | undefined

  const begin = (what: string, title?: string): (typeof spans)[number] => {
    const span = {what, ...(title !== undefined && {title}), startMs: elapsed()}
    spans.push(span)
    return span
  }
  return {
    note(event) {
      const now = elapsed()
      switch (event.type) {
        case 'action.begin':
          actions.push({startMs: now})
          milestoneStartMs = now
          if (!composed.has(event.action)) begin(event.action === 'fetch-image' ? 'image' : event.action)
          return
        case 'action.end': {
          const action = actions.at(-1)
          if (action) action.endMs = now
          const span = spans.at(-1)
          if (span && !composed.has(event.action)) span.endMs = now
          return
        }
        case 'guest.milestone':
          // A step that reboots the guest has this way in its own time.
          if (step) return
          spans.push({what: event.milestone, startMs: milestoneStartMs, endMs: now})
          milestoneStartMs = now
          return
        case 'provision.step':
          step = begin(`step ${event.step}`, event.title)
          return
        case 'provision.done':
          if (step) step.endMs = now
          step = undefined
          return
        default:
      }
    },
    actions: () => actions.map(({startMs, endMs = elapsed()}) => round(endMs - startMs)),
    timings: () =>
      spans.map(({endMs = elapsed(), startMs, ...span}) => ({...span, startMs: round(startMs), durationMs: round(endMs - startMs)})),
  }
}

const round = (milliseconds: number): number => Math.round(milliseconds)

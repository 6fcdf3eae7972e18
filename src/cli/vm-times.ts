import type {BootStage, EngineEvent, Milestone} from '../engine/events.ts'
import type {Action, VmPlan} from '../engine/plan/vm-plan.ts'

/** What the events of one VM have told so far. */
export interface VmFacts {
  readonly plan?: VmPlan | undefined
  /** Milliseconds since the work on it began. */
  readonly totalMs: number
  /** From the start of its process until it could be worked with. */
  readonly bootedMs?: number | undefined
  readonly stepsMs?: number | undefined
  readonly milestone?: Milestone | undefined
  readonly stage?: BootStage | undefined
  readonly line: string
  readonly isBooting: boolean
}

export interface VmWatch {
  readonly facts: VmFacts
  note(event: EngineEvent): void
  /** Milliseconds that an action took, without the wait for the guest that it began with. */
  tookMs(action: Action, durationMs: number): number
}

const starts: ReadonlySet<Action> = new Set(['start', 'resume'])

/** Tells booting and steps apart, which an action may have both of. */
export const watchVm = (now: () => number = () => performance.now()): VmWatch => {
  const began = now()
  let facts: Omit<VmFacts, 'totalMs'> = {line: '', isBooting: false}
  let startedAt: number | undefined
  let readyAt: number | undefined
  let consoleLines = 0
  const tookMs = (action: Action, durationMs: number): number =>
    (action === 'provision' || action === 'configure') && readyAt !== undefined ? Math.min(durationMs, now() - readyAt) : durationMs
  const become = (more: Partial<VmFacts>): void => {
    facts = {...facts, ...more}
  }
  return {
    get facts() {
      return {...facts, totalMs: now() - began}
    },
    tookMs,
    note(event) {
      switch (event.type) {
        case 'plan.ready':
          become({plan: event.plan})
          return
        case 'action.begin':
          readyAt = undefined
          if (!starts.has(event.action)) return
          startedAt = now()
          become({isBooting: true, milestone: undefined, stage: undefined, line: '', bootedMs: undefined})
          return
        case 'action.end':
          if (event.action === 'provision') become({stepsMs: tookMs('provision', event.durationMs ?? 0)})
          return
        case 'guest.milestone':
          become({milestone: event.milestone})
          if (event.milestone !== 'ready') return
          readyAt ??= now()
          if (startedAt !== undefined && facts.bootedMs === undefined) become({bootedMs: readyAt - startedAt})
          return
        case 'guest.console':
          consoleLines += 1
          become({line: event.line, stage: event.stage, ...(consoleLines > 1 && {isBooting: true})})
          return
        case 'guest.waited':
          consoleLines = 0
          become({isBooting: false})
          return
        default:
      }
    },
  }
}

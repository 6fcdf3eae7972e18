export type {Rung} from '../guest/ready/watch.ts'
import type {ImageEvent} from '../image/events.ts'
import type {Rung} from '../guest/ready/watch.ts'
import type {Health} from '../model/health.ts'
import type {ProvisionEvent} from '../provision/run/run.ts'
import type {Action, VmPlan} from './plan/vm-plan.ts'

/** Something that the user should know and that is not an error. */
export interface NoticeEvent {
  readonly type: 'vm.notice'
  readonly message: string
  /** Why the guest had to be forced off, when that is what the notice is about. */
  readonly forced?: string
}

/** An action of a plan begins or has ended. */
export interface ActionEvent {
  readonly type: 'action.begin' | 'action.end'
  readonly action: Action
  /** Milliseconds, at the end. */
  readonly durationMs?: number
}

/** What became of one VM of many; the others go on. */
export interface FailedEvent {
  readonly type: 'vm.failed'
  readonly error: unknown
}

type VmEvent =
  | NoticeEvent
  | ActionEvent
  | FailedEvent
  | ImageEvent
  | ProvisionEvent
  | {readonly type: 'health.checked'; readonly health: Health}
  | {readonly type: 'plan.ready'; readonly plan: VmPlan}
  | {readonly type: 'copy.progress'; readonly bytes: number; readonly totalBytes?: number}
  | {readonly type: 'copy.done'}
  | {readonly type: 'lock.waiting'; readonly holder: string}
  | {readonly type: 'guest.rung'; readonly rung: Rung; readonly detail: string}
  /** The wait that the rungs belong to is over, however it ended. */
  | {readonly type: 'guest.waited'}

/** Everything that the engine tells while it works; `vm` says about which VM, and is absent for images on their own. */
export type EngineEvent = VmEvent & {readonly vm?: string}

export type EventListener = (event: EngineEvent) => void | Promise<void>

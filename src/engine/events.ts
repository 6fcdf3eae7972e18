export type {BootStage} from '../guest/ready/boot-signs.ts'
export type {Milestone} from '../guest/ready/watch.ts'
import type {ImageEvent} from '../image/events.ts'
import type {BootStage} from '../guest/ready/boot-signs.ts'
import type {Milestone} from '../guest/ready/watch.ts'
import type {Health} from '../model/health.ts'
import type {ProvisionEvent} from '../provision/run/run.ts'
import type {Action, Awaited, VmPlan} from './plan/vm-plan.ts'

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

/** A verb on one VM by its name has its lock, or is over with it, however it ended. */
export interface VerbEvent {
  readonly type: 'verb.begin' | 'verb.end'
  readonly verb: 'create' | 'start' | 'stop' | 'restart' | 'suspend' | 'resume' | 'destroy' | 'package'
}

/** What became of one VM of many; the others go on. */
export interface FailedEvent {
  readonly type: 'vm.failed'
  readonly error: unknown
}

type VmEvent =
  | NoticeEvent
  | ActionEvent
  | VerbEvent
  | FailedEvent
  | ImageEvent
  | ProvisionEvent
  /** One of the VMs that a verb is for; the work on it begins when what it waits for is reached. */
  | {readonly type: 'vm.queued'; readonly after: readonly Awaited[]}
  | {readonly type: 'vm.begin'}
  /** It is where the verb wants it. */
  | {readonly type: 'vm.done'}
  | {readonly type: 'health.checked'; readonly health: Health}
  | {readonly type: 'plan.ready'; readonly plan: VmPlan}
  /** The disk is kept as it is after a step, for VMs that are made from then on. */
  | {readonly type: 'layer.kept'; readonly step: number; readonly id: string}
  | {readonly type: 'copy.progress'; readonly bytes: number; readonly totalBytes?: number}
  | {readonly type: 'copy.done'}
  | {readonly type: 'lock.waiting'; readonly holder: string}
  | {readonly type: 'guest.milestone'; readonly milestone: Milestone; readonly detail: string}
  /** The console of a guest that is waited for has a new last line. */
  | {readonly type: 'guest.console'; readonly line: string; readonly stage?: BootStage | undefined}
  /** The wait that the milestones belong to is over, however it ended. */
  | {readonly type: 'guest.waited'}

/** Everything that the engine tells while it works; `vm` says about which VM, and is absent for images on their own. */
export type EngineEvent = VmEvent & {readonly vm?: string}

export type EventListener = (event: EngineEvent) => void | Promise<void>

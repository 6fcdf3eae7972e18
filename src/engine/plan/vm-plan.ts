import type {GuestRecord} from '../../guest/record.ts'
import type {BackendNodes} from '../../model/backend-node.ts'
import type {DependencyCondition} from '../../model/order.ts'
import type {Observation, Vm, VmSpec} from '../../model/vm.ts'
import type {Request, StepVerdict} from '../../provision/run/decide.ts'
import type {DeclaredStep} from '../../provision/run/declare.ts'
import type {Journal} from '../../provision/run/journal.ts'

export type {Request}

export type Action =
  | 'fetch-image'
  | 'create'
  | 'recreate'
  | 'update'
  | 'stop'
  | 'start'
  | 'resume'
  | 'load'
  | 'save'
  | 'discard'
  | 'wait'
  | 'configure'
  | 'provision'
  | 'check-health'
  | 'destroy'

export interface PlanStep {
  readonly action: Action
  /** Why, in words. */
  readonly cause: string
}

/** What will be done to one VM, in order, and what was seen but will not be done. */
export interface VmPlan {
  readonly vm: string
  /** What is waited for before the first step. */
  readonly after: readonly Awaited[]
  readonly steps: readonly PlanStep[]
  /** Why nothing is done, or what the user has to do for a change to take effect. */
  readonly notices: readonly string[]
  /** What is done about each provision step, in the order of the file; empty when this plan leaves them all alone. */
  readonly provision: readonly StepVerdict[]
}

export type Verb = 'up' | 'down' | 'reload' | 'provision'

export interface Desired {
  readonly spec: VmSpec
  readonly steps: readonly DeclaredStep[]
  /** The nodes of backends, which say when a change of what they say takes effect. */
  readonly backends?: BackendNodes
  /** What the guest gets of its stack, hashed, by the words in which a change of it is told. */
  readonly setup?: Readonly<Record<string, string>>
}

export interface Observed {
  /** Absent when the VM does not exist. */
  readonly vm?: Vm
  readonly observation: Observation
  readonly journal: Journal
  /** Absent when it is damaged and the verb can do without. */
  readonly guest?: GuestRecord | undefined
  readonly imageIsHere: boolean
  /** The layer of provision steps that it can be made from, in words, with its id and what is on record of the steps then. */
  readonly layer?: {readonly id: string; readonly text: string; readonly journal: Journal}
  /** What the lock file has in place of the build that the VM is made from, in words. */
  readonly otherBuild?: string
  /** Whether the record of the VM is to be written as it is here: what its VMFile is has changed. */
  readonly isNewRecord?: boolean
  /** How the VM has come to belong to another VMFile than the one that made it. */
  readonly ownership?: string
}

export interface PlanOptions {
  readonly verb: Verb
  /** Whether provision steps may run. */
  readonly provision: boolean
  /** `--adopt`: whether VMs that no VMFile has any more are to belong to this one. */
  readonly adopt?: boolean | undefined
  /** Whether a VM that is made may be made from a layer of provision steps; it may when absent. */
  readonly layers?: boolean | undefined
  /** `down --destroy`. */
  readonly destroy?: boolean
  /** `down` only: whether memory is kept on disk; `warm` of the VM decides when absent. */
  readonly save?: boolean | undefined
  /** `up` only: whether what saved guests have in memory is given up, as by a power cut. */
  readonly discardSaved?: boolean | undefined
  /** `provision` only: which steps; all when absent. */
  readonly request?: Request | undefined
  /** `up --wait`: whether health checks have to pass although nothing waits for them. */
  readonly healthy?: boolean
  /** `up --no-health`: whoever waits for the health of this VM waits until its guest is ready instead. */
  readonly ignoreHealth?: boolean
  /** Where the VM stands among the others; by itself when absent. */
  readonly place?: Place | undefined
}

/** What is waited for before the turn of a VM: a condition of another one, or that it is over with. */
export interface Awaited {
  readonly vm: string
  readonly condition: DependencyCondition | 'over'
}

/** The place of one VM among the others that are worked on. */
export interface Place {
  readonly after: readonly Awaited[]
  /** Who cannot go on before this VM has reached what. */
  readonly demands: readonly Demand[]
  readonly notices: readonly string[]
}

export interface Demand {
  readonly by: string
  readonly condition: DependencyCondition
}

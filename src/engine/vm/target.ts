import type {BackendNodes} from '../../model/backend-node.ts'
import type {VmSpec} from '../../model/vm.ts'
import type {StepVerdict} from '../../provision/run/decide.ts'
import type {PreparedStep} from '../../provision/run/declare.ts'
import type {Records} from './records.ts'

/** What a plan is applied to. */
export interface Target {
  readonly spec: VmSpec
  readonly steps: readonly PreparedStep[]
  readonly backends?: BackendNodes
  /** As in `Desired`. */
  readonly setup?: Readonly<Record<string, string>>
  /** Absolute path of the VMFile; absent for `vmctl create`. */
  readonly vmfile?: string | undefined
}

export interface Task extends Target {
  readonly verdicts: readonly StepVerdict[]
  readonly records: Records
  /** Saves or loads this VM, and with it the others of which that is to be done. */
  readonly atOnce?: (() => Promise<void>) | undefined
}

import type {BackendNodes} from '../../model/backend-node.ts'
import type {VmSpec} from '../../model/vm.ts'
import type {StepVerdict} from '../../provision/run/decide.ts'
import type {PreparedStep} from '../../provision/run/declare.ts'
import type {FoundLayer} from '../make/layers.ts'
import type {Records} from './records.ts'

/** What a plan is applied to. */
export interface Target {
  readonly spec: VmSpec
  readonly steps: readonly PreparedStep[]
  readonly backends?: BackendNodes
  /** As in `Desired`. */
  readonly setup?: Readonly<Record<string, string>>
  /** Whether a VM that is made may be made from a layer; it may when absent. */
  readonly layers?: boolean | undefined
  /** Id of the layer that the plan makes it from. */
  readonly plannedLayer?: string | undefined
  /** Absolute path of the VMFile; absent for `vmctl create`. */
  readonly vmfile?: string | undefined
}

export interface Task extends Target {
  readonly verdicts: readonly StepVerdict[]
  readonly records: Records
  /** The VM was made by this very plan, so that nothing but its steps was done to its disk. */
  readonly made?: {readonly origin: FoundLayer | undefined}
  /** Saves or loads this VM, and with it the others of which that is to be done. */
  readonly atOnce?: (() => Promise<void>) | undefined
}

import {canLogIn} from '../../model/login.ts'
import type {VmSpec, VmState} from '../../model/vm.ts'
import {readVm} from '../../store/store.ts'
import {type Engine, observe} from '../engine.ts'
import type {VmPlan} from '../plan/vm-plan.ts'
import type {RemovedOrphan} from './orphans.ts'
import type {Stopwatch, Timing} from './timings.ts'

/** What became of one VM; the `--json` shape of `up`, `down`, `reload` and `provision`. */
export interface VmResult {
  readonly name: string
  readonly state: VmState
  /** Whether vmctl can log in to it. */
  readonly login: boolean
  /** What was to be done; without a duration it was not begun. */
  readonly actions: readonly {readonly action: string; readonly cause: string; readonly durationMs?: number}[]
  /** Where the time went: actions, milestones of the boot, steps. */
  readonly timings: readonly Timing[]
  readonly notices: readonly string[]
  /** Why the guest had to be forced off; absent when it powered off by itself, or was given no time to. */
  readonly forced?: string
  readonly error?: {readonly code: string; readonly message: string; readonly help?: string}
}

export interface Progress {
  readonly stopwatch: Stopwatch
  forced?: () => {readonly forced?: string}
  plan?: VmPlan
}

export const resultOf = async (engine: Engine, spec: VmSpec, {plan, stopwatch, forced}: Progress): Promise<VmResult> => {
  const durations = stopwatch.actions()
  const vm = await readVm(engine.store, spec.name).catch(() => undefined)
  const state = vm ? (await observe(engine, vm)).state : 'destroyed'
  return {
    name: spec.name,
    state,
    login: canLogIn(spec),
    actions: (plan?.steps ?? []).map(({action, cause}, index) => {
      const durationMs = durations[index]
      return {action, cause, ...(durationMs !== undefined && {durationMs})}
    }),
    timings: stopwatch.timings(),
    notices: plan?.notices ?? [],
    ...forced?.(),
  }
}

export const resultOfOrphan = ({plan: {vm, steps}, durationMs, forced}: RemovedOrphan): VmResult => ({
  name: vm,
  state: 'destroyed',
  login: false,
  actions: steps.map((step) => ({...step, durationMs})),
  timings: [{what: 'destroy', startMs: 0, durationMs}],
  notices: [],
  ...(forced !== undefined && {forced}),
})

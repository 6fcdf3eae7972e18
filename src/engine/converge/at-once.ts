import type {Vm, VmSpec} from '../../model/vm.ts'
import {readVm} from '../../store/store.ts'
import type {Engine} from '../engine.ts'
import {isWarm, planVm} from '../plan/plan.ts'
import {loadVms, saveVms} from '../vm/saved.ts'
import {lockVms} from '../vm/several.ts'
import {type LookOptions, situationOf} from './observe.ts'

/** The VMs that a verb saves or loads. Connections between them live on because it is done to all at one instant. */
export interface AtOnce extends AsyncDisposable {
  /** Whether the lock of a VM is held here, until the disposal. */
  holds(name: string): boolean
  /** Whichever of their plans comes to it first does it for all; the others wait for the same. */
  act(): Promise<void>
}

/** Locks them, and refuses what cannot be saved while all of them run. */
export const openAtOnce = async (engine: Engine, specs: readonly VmSpec[], options: LookOptions): Promise<AtOnce> => {
  const names = await candidates(engine, specs, options)
  const locks = await lockVms(engine, names, `vmctl ${options.verb}`)
  try {
    const members: Vm[] = []
    for (const spec of specs.filter(({name}) => names.includes(name))) {
      const {target, observed} = await situationOf(engine, spec, options)
      const {steps} = planVm(target, observed, options)
      if (observed.vm && steps.some(({action}) => action === 'save' || action === 'load')) members.push(observed.vm)
    }
    let done: Promise<void> | undefined
    return {
      holds: (name) => names.includes(name),
      act: () => (done ??= options.verb === 'down' && options.save !== false ? saveVms(engine, members) : loadVms(engine, members)),
      [Symbol.asyncDispose]: () => locks[Symbol.asyncDispose](),
    }
  } catch (error) {
    await locks[Symbol.asyncDispose]()
    throw error
  }
}

const candidates = async (engine: Engine, specs: readonly VmSpec[], options: LookOptions): Promise<readonly string[]> => {
  const {verb, destroy} = options
  if (destroy || (verb !== 'up' && verb !== 'down')) return []
  const names = specs.map(async (spec) => {
    // One that cannot be read is told of in its turn.
    const vm = await readVm(engine.store, spec.name).catch(() => undefined)
    const {save = vm && isWarm(spec, vm)} = options
    return vm && (vm.saved ?? (verb === 'down' && save)) ? [spec.name] : []
  })
  return (await Promise.all(names)).flat()
}

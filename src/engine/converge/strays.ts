import type {Vm, VmSpec} from '../../model/vm.ts'
import {listVms} from '../../store/store.ts'
import type {Engine} from '../engine.ts'
import type {Vmfile} from '../load.ts'
import {ofVmfile} from '../owner.ts'
import type {VmPlan} from '../plan/vm-plan.ts'
import {destroy} from '../vm/lifecycle.ts'

/** A VM that its VMFile has made and no longer defines: renamed, taken out, or a replica too many. No verb for the file touches it. */
export interface Stray {
  readonly vm: string
  /** What has come in its place: `web-0` and `web-1` for a `web` that got replicas. */
  readonly successors: readonly string[]
}

export const findStrays = async ({store}: Engine, vmfile: Vmfile): Promise<readonly Stray[]> => {
  const defined = new Set(vmfile.vms.map(({name}) => name))
  const strays = (await ofVmfile(await listVms(store), vmfile.path)).filter(({name}) => !defined.has(name))
  return strays.map((stray) => ({vm: stray.name, successors: successorsOf(stray, vmfile.vms)}))
}

/** A service that has got replicas, or has them no longer, is known by its name; each of its VMs has a disk of its own. */
const successorsOf = ({spec}: Vm, defined: readonly VmSpec[]): readonly string[] =>
  defined
    .filter(
      ({name, service = name, replica}) =>
        service === (spec.service ?? spec.name) && (replica === undefined) !== (spec.replica === undefined),
    )
    .map(({name}) => name)

/** What is said of a stray that is left alone. */
export const strayNotice = ({vm, successors}: Stray): string =>
  `${why(successors)} and is left as it is, with its disk; \`vmctl destroy ${vm}\` or --remove-orphans removes it`

const why = (successors: readonly string[]): string =>
  successors.length === 0 ? 'is no longer in the VMFile' : `is no longer in the VMFile, which has ${successors.join(' and ')} instead,`

export const planForStray = (stray: Stray, {remove}: {readonly remove: boolean}): VmPlan => ({
  vm: stray.vm,
  after: [],
  steps: remove ? [{action: 'destroy', cause: `--remove-orphans, ${why(stray.successors).replace(/,$/, '')}`}] : [],
  notices: remove ? [] : [strayNotice(stray)],
  provision: [],
})

/** What became of a stray: its plan, and what the result of a VM has. */
export interface RemovedStray {
  readonly plan: VmPlan
  readonly durationMs: number
  readonly forced?: string
}

/** Destroys strays, with their disks, and tells about each as about any other VM. */
export const removeStrays = async (engine: Engine, strays: readonly Stray[]): Promise<readonly RemovedStray[]> => {
  const removed: RemovedStray[] = []
  for (const stray of strays) {
    const plan = planForStray(stray, {remove: true})
    const {vm} = plan
    await engine.emit({type: 'plan.ready', vm, plan})
    const started = performance.now()
    await engine.emit({type: 'action.begin', vm, action: 'destroy'})
    const {name: _name, ...outcome} = await destroy(engine, vm)
    const durationMs = performance.now() - started
    await engine.emit({type: 'action.end', vm, action: 'destroy', durationMs})
    removed.push({plan, durationMs, ...outcome})
  }
  return removed
}

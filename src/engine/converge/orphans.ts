import type {Vm, VmSpec} from '../../model/vm.ts'
import {listVms} from '../../store/store.ts'
import type {Engine} from '../engine.ts'
import type {Vmfile} from '../load.ts'
import {ofVmfile} from '../owner.ts'
import type {VmPlan} from '../plan/vm-plan.ts'
import {destroy} from '../vm/lifecycle.ts'

/** A VM that its VMFile has made and no longer defines: renamed, taken out, or a replica too many. No verb for the file touches it. */
export interface Orphan {
  readonly vm: string
  /** What has come in its place: `web-0` and `web-1` for a `web` that got replicas. */
  readonly successors: readonly string[]
}

export const findOrphans = async ({store}: Engine, vmfile: Vmfile): Promise<readonly Orphan[]> => {
  const defined = new Set(vmfile.vms.map(({name}) => name))
  const orphans = (await ofVmfile(await listVms(store), vmfile.path)).filter(({name}) => !defined.has(name))
  return orphans.map((orphan) => ({vm: orphan.name, successors: successorsOf(orphan, vmfile.vms)}))
}

/** A service that has got replicas, or has them no longer, is known by its name; each of its VMs has a disk of its own. */
const successorsOf = ({spec}: Vm, defined: readonly VmSpec[]): readonly string[] =>
  defined
    .filter(
      ({name, service = name, replica}) =>
        service === (spec.service ?? spec.name) && (replica === undefined) !== (spec.replica === undefined),
    )
    .map(({name}) => name)

/** What is said of a orphan that is left alone. */
export const orphanNotice = ({vm, successors}: Orphan): string =>
  `${why(successors)} and is left as it is, with its disk; \`vmctl destroy ${vm}\` or --remove-orphans removes it`

const why = (successors: readonly string[]): string =>
  successors.length === 0 ? 'is no longer in the VMFile' : `is no longer in the VMFile, which has ${successors.join(' and ')} instead,`

export const planForOrphan = (orphan: Orphan, {remove}: {readonly remove: boolean}): VmPlan => ({
  vm: orphan.vm,
  after: [],
  steps: remove ? [{action: 'destroy', cause: `--remove-orphans, ${why(orphan.successors).replace(/,$/, '')}`}] : [],
  notices: remove ? [] : [orphanNotice(orphan)],
  provision: [],
})

/** What became of a orphan: its plan, and what the result of a VM has. */
export interface RemovedOrphan {
  readonly plan: VmPlan
  readonly durationMs: number
  readonly forced?: string
}

/** Destroys orphans, with their disks, and tells about each as about any other VM. */
export const destroyOrphans = async (engine: Engine, orphans: readonly Orphan[]): Promise<readonly RemovedOrphan[]> => {
  const removed: RemovedOrphan[] = []
  for (const orphan of orphans) {
    const plan = planForOrphan(orphan, {remove: true})
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

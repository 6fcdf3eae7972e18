import {randomUUID} from 'node:crypto'

import {remove} from '../../host/durable.ts'
import {ensureArchive} from '../../image/archive-image.ts'
import {claimImage, noteUse} from '../../image/uses.ts'
import {messageOf} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import {type BaseImage, isAlive, noopBackend, type Vm, type VmSpec} from '../../model/vm.ts'
import {decideSteps} from '../../provision/run/decide.ts'
import {noteStart} from '../../provision/run/journal.ts'
import {removeSavedMemory} from '../../store/saved.ts'
import {sweepSnapshots} from '../../store/snapshots.ts'
import {adoptDirectory, readVm, removeVm, stageDirectory, sweepLeftovers, vmDirectory, writeVm} from '../../store/store.ts'
import {applyChanges} from '../../vmfile/changes.ts'
import type {Effect} from '../../vmfile/grammar/change.ts'
import {backendNodes, type Engine, hypervisorFor, hypervisorOf} from '../engine.ts'
import {traitsOf} from '../owner.ts'
import type {PlanStep, VmPlan} from '../plan/vm-plan.ts'
import {awaitHealthy} from '../reach/health.ts'
import {startNetworks} from '../resources/carriers.ts'
import {forgetLayers} from '../resources/volumes.ts'
import {attach} from '../make/attach.ts'
import {fetchReference} from '../make/image.ts'
import type {FoundLayer} from '../make/layers.ts'
import {operation} from './operation.ts'
import {resumeVm} from './pause.ts'
import {furnish} from './on-layer.ts'
import {holdRecords, newRecords, readRecords, type Records} from './records.ts'
import {awake, discardSaved} from './saved.ts'
import type {Target, Task} from './target.ts'
import {provisionVm, waitUntilUsable} from './usable-guest.ts'
import {requireWhole} from './whole.ts'

/** Milliseconds that a guest may take to power off before it is forced to. */
export const stopGraceMs = (spec: Pick<VmSpec, 'stopGraceMs'>): number => spec.stopGraceMs ?? 30_000

/** Does the steps of a plan in order and tells about each. It decides nothing. The caller holds the VM's lock. */
export const applyPlan = async (
  engine: Engine,
  target: Target,
  {plan, records: known, atOnce}: {readonly plan: VmPlan; readonly records: Records; readonly atOnce?: Task['atOnce']},
): Promise<void> => {
  const {name} = target.spec
  let task: Task = {...target, verdicts: plan.provision, records: known, atOnce}
  await sweepLeftovers(engine.store, name)
  for (const step of plan.steps) {
    engine.signal.throwIfAborted()
    const started = performance.now()
    await engine.emit({type: 'action.begin', vm: name, action: step.action})
    task = (await applyStep(engine, task, step)) ?? task
    await engine.emit({type: 'action.end', vm: name, action: step.action, durationMs: performance.now() - started})
  }
}

/** @returns what has become of the task */
const applyStep = async (engine: Engine, task: Task, step: PlanStep): Promise<Task | undefined> => {
  const {spec, records} = task
  const {name} = spec
  switch (step.action) {
    case 'fetch-image':
      await fetchImage(engine, spec)
      return undefined
    case 'create':
    case 'recreate':
      return remake(engine, task)
    case 'update':
      await updateVm(engine, await existing(engine, name), spec)
      return undefined
    case 'start':
      await startVm(engine, await existing(engine, name), records)
      return undefined
    case 'save':
    case 'load':
      await task.atOnce?.()
      return undefined
    case 'discard':
      await discardSaved(engine, await existing(engine, name))
      return undefined
    case 'resume':
      await resumeVm(engine, await existing(engine, name))
      return undefined
    case 'stop':
      await stopVm(engine, await existing(engine, name), stopGraceMs(spec))
      return undefined
    case 'destroy':
      await destroyVm(engine, await existing(engine, name))
      return undefined
    case 'wait':
    case 'configure':
      await waitUntilUsable(engine, await existing(engine, name), records)
      return undefined
    case 'check-health':
      await awaitHealthy(engine, await existing(engine, name), spec)
      return undefined
    case 'provision':
      await provisionVm(engine, await existing(engine, name), task)
      return undefined
  }
}

/** The records are those of the new VM from then on. What the plan says of steps holds only for the layer that it was made for. */
const remake = async (engine: Engine, task: Task): Promise<Task> => {
  const {origin} = await createVm(engine, task)
  const directory = vmDirectory(engine.store, task.spec.name)
  const records = origin ? holdRecords(directory, await readRecords(directory)) : newRecords(directory)
  const isAsPlanned = task.verdicts.length === 0 || origin?.layer.id === task.plannedLayer
  return {
    ...task,
    records,
    made: {origin},
    ...(!isAsPlanned && {verdicts: decideSteps(records.journal, task.steps, {restarted: true})}),
  }
}

const existing = async (engine: Engine, name: string): Promise<Vm> => {
  const vm = await readVm(engine.store, name)
  if (!vm) throw new Error(`The VM ${name} vanished while it was locked.`)
  return vm
}

/** The base image of a spec, fetched when it is not here yet. */
export const fetchImage = (engine: Engine, spec: VmSpec): Promise<BaseImage> =>
  spec.kind === 'container' ? ensureArchive(spec.image) : fetchReference(engine, spec.image, {vm: spec.name})

/**
 * Makes a VM, in place of an existing one of the same name. Everything is made in a directory without a name first; only
 * when all of it is there is the old VM ended and replaced, so a failure costs nothing that existed.
 * @returns with the layer of provision steps that it was made from
 */
export const createVm = async (
  engine: Engine,
  target: Pick<Target, 'spec' | 'vmfile'> & Partial<Pick<Target, 'steps' | 'layers'>>,
): Promise<{readonly vm: Vm; readonly origin: FoundLayer | undefined}> => {
  const {spec, vmfile} = target
  const hypervisor = await hypervisorFor(engine, spec)
  await hypervisor.check(spec)
  const base = await fetchImage(engine, spec)
  const directory = await stageDirectory(engine.store, spec.name)
  try {
    const id = randomUUID()
    const vm = await claimBase(engine, {
      schema: 1,
      id,
      name: spec.name,
      backend: hypervisor.name,
      directory,
      spec,
      ...(vmfile !== undefined && {vmfile, ...(await traitsOf(vmfile))}),
      base,
      attachments: await attach(engine, {id, name: spec.name, spec, directory}),
      createdAt: new Date().toISOString(),
      phase: 'prepared',
    })
    const old = await readVm(engine.store, spec.name)
    const furnished = await furnish(engine, vm, {...target, old})
    engine.signal.throwIfAborted()
    await tellNoop(engine, hypervisor.name)
    if (old) await endVm(engine, old)
    return {...furnished, vm: {...furnished.vm, directory: await adoptDirectory(engine.store, directory, spec.name)}}
  } finally {
    await remove(directory)
  }
}

/** Puts on record that a VM is made on its image, which stays in the cache from then on. One that left it a moment ago is fetched again. */
export const claimBase = async (engine: Engine, staged: Vm): Promise<Vm> => {
  let vm = staged
  while (!(await claimImage(engine.images, {image: vm.base, claim: () => writeVm(vm)}, engine.signal))) {
    vm = {...vm, base: await fetchImage(engine, vm.spec)}
  }
  return vm
}

/** VMCTL_BACKEND may have been left in the environment: what follows looks like the real thing. */
const tellNoop = async (engine: Engine, backend: string): Promise<void> => {
  if (backend === noopBackend) await engine.emit({type: 'vm.notice', message: 'backend noop: no real VM is made'})
}

/** Ends a VM for good. A guest that writes to what outlives it powers off first, so that nothing it wrote is lost there. */
const endVm = async (engine: Engine, vm: Vm): Promise<void> => {
  const {volumes = [], shares = []} = vm.spec
  if ([...volumes, ...shares].some(({readOnly}) => !readOnly)) await stopVm(engine, await awake(engine, vm), stopGraceMs(vm.spec))
  await (await hypervisorOf(engine, vm)).destroy(vm, operation(engine, vm))
  await forgetLayers(engine, vm)
  await noteUse(engine.images, vm.base.path)
}

const updateVm = async (engine: Engine, vm: Vm, wanted: VmSpec): Promise<void> => {
  const hypervisor = await hypervisorOf(engine, vm)
  const alive = isAlive(await hypervisor.observe(vm))
  const effects = new Set<Effect>(alive ? ['now'] : ['now', 'restart'])
  const next = {...vm, spec: applyChanges(vm.spec, wanted, {effects, backends: backendNodes(engine)})}
  await hypervisor.check(next.spec)
  await hypervisor.prepare(next, operation(engine, vm))
  // Before the record says so: whoever is killed in between finds the difference again.
  if (alive) await hypervisor.adapt?.(next, operation(engine, vm))
  await writeVm(next)
}

/** Starts a VM and records how that ended. */
export const startVm = async (engine: Engine, vm: Vm, records: Records): Promise<void> => {
  requireWhole(vm)
  const hypervisor = await hypervisorOf(engine, vm)
  const {failure: _failure, suspendedAt: _suspended, ...before} = vm
  const rest = {...before, attachments: await attach(engine, vm)}
  // What was seen of the run before is no news of this one.
  await remove(vmFiles(vm.directory).health)
  // Of a command that was killed before it had saved all of it.
  await removeSavedMemory(vm)
  // Before the start: a kill in between must not hide it.
  await noteStart(records)
  try {
    await startNetworks(engine, vm.spec)
    await hypervisor.start(rest, operation(engine, vm))
  } catch (error) {
    // A cancelled start is not a failure of the VM.
    if (!engine.signal.aborted)
      await writeVm({...rest, failure: {operation: 'start', message: messageOf(error), at: new Date().toISOString()}})
    throw error
  }
  await writeVm({...rest, phase: 'started'})
}

export const stopVm = async (engine: Engine, vm: Vm, timeoutMs: number): Promise<void> => {
  const hypervisor = await hypervisorOf(engine, vm)
  const onForced = (forced: string): void =>
    void engine.emit({type: 'vm.notice', vm: vm.name, message: `was forced off: ${forced}`, forced})
  await hypervisor.stop(vm, {...operation(engine, vm), timeoutMs, onForced})
}

/** Ends a VM and removes everything of it. Its files go only after it is certain that nothing uses them. */
export const destroyVm = async (engine: Engine, vm: Vm): Promise<void> => {
  await endVm(engine, vm)
  await removeVm(engine.store, vm.name)
  await sweepSnapshots(engine.store)
}

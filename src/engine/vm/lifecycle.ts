import {about, isFailure, VmctlError} from '../../model/errors.ts'
import {isVmName, vmNameRule} from '../../model/names.ts'
import {allowedFrom, alreadyIn} from '../../model/transitions.ts'
import {isAlive, stateAtRest, type Vm, type VmSpec, type VmState} from '../../model/vm.ts'
import {listVmNames, lockVm, readVm, removeVm, requireVm, sweepLeftovers, vmDirectory} from '../../store/store.ts'
import {applyChanges} from '../../vmfile/changes.ts'
import {backendNodes, type Engine, hypervisorOf} from '../engine.ts'
import {planStart} from '../plan/plan.ts'
import {cleanUpNetworks} from '../resources/carriers.ts'
import {applyPlan, createVm, destroyVm, startVm, stopGraceMs, stopVm} from './apply.ts'
import {sweepIdleCopies} from './copy.ts'
import {noteForced} from './forced.ts'
import {resumeVm, suspendVm} from './pause.ts'
import {wantedSpec} from './pending.ts'
import {awake, discardSaved, loadVms, saveVms} from './saved.ts'
import {lockVms} from './several.ts'
import {holdRecords, newRecords, peekRecords} from './records.ts'
import {readingOnce} from '../make/steps.ts'

/** What a verb on one VM has led to; the `--json` shape of `create`, `start`, `stop`, … */
export interface LifecycleResult {
  readonly name: string
  readonly id: string
  readonly state: VmState
  /** The VM was there already: nothing was done. */
  readonly unchanged?: true
  /** Why the guest had to be forced off; absent when it powered off by itself, or was given no time to. */
  readonly forced?: string
}

/** Long enough for another command to finish with the VM, short enough for a person to wait. */
const patienceMs = 60_000

type LifecycleVerb = Exclude<keyof typeof allowedFrom, 'suspend --disk'> | 'create' | 'restart' | 'destroy'

const withLock = async <T>(engine: Engine, {name, verb}: {name: string; verb: LifecycleVerb}, action: () => Promise<T>): Promise<T> => {
  await using _lock = await lockVm(engine.store, name, {
    purpose: `vmctl ${verb} ${name}`,
    timeoutMs: engine.lockTimeoutMs ?? patienceMs,
    signal: engine.signal,
    onWait: (holder) => void engine.emit({type: 'lock.waiting', vm: name, holder}),
  })
  await engine.emit({type: 'verb.begin', vm: name, verb})
  try {
    return await action()
  } finally {
    await engine.emit({type: 'verb.end', vm: name, verb})
  }
}

const resultOf = (vm: Vm, state: VmState): LifecycleResult => ({name: vm.name, id: vm.id, state})

/** Makes a VM without a VMFile, and starts it when asked to. */
export const create = async (engine: Engine, spec: VmSpec, options: {start?: boolean} = {}): Promise<LifecycleResult> => {
  if (!isVmName(spec.name)) {
    throw new VmctlError('vmctl::usage::invalid', `${JSON.stringify(spec.name)} cannot be the name of a VM: ${vmNameRule}.`)
  }
  return withLock(engine, {name: spec.name, verb: 'create'}, async () => {
    if ((await listVmNames(engine.store)).includes(spec.name)) {
      throw new VmctlError('vmctl::vm::name_exists', `A VM named ${spec.name} exists already.`, {
        help: `Choose a different name, or destroy the existing VM with \`vmctl destroy ${spec.name}\`.`,
      })
    }
    await sweepLeftovers(engine.store, spec.name)
    const {vm} = await createVm(engine, {spec})
    if (!options.start) return resultOf(vm, 'prepared')
    await startVm(engine, vm, newRecords(vm.directory))
    return resultOf(vm, 'running')
  })
}

/** Runs a verb on a VM if its state allows it (the book's table of transitions). */
const transition = (
  engine: Engine,
  {name, verb, to}: {name: string; verb: Exclude<keyof typeof allowedFrom, 'suspend --disk'>; to: VmState},
  action: (vm: Vm) => Promise<void>,
): Promise<LifecycleResult> =>
  requireVm(engine.store, name).then(() =>
    withLock(engine, {name, verb}, async () => {
      const vm = await requireVm(engine.store, name)
      const already = await requireAllowed(engine, vm, verb)
      if (already) return {...resultOf(vm, already), unchanged: true}
      await action(vm).catch((error: unknown) => {
        throw about(error, {vm: name})
      })
      return resultOf(vm, to)
    }),
  )

/**
 * Whether the state of a VM allows a verb.
 * @returns the state when it leaves the verb nothing to do
 */
const requireAllowed = async (engine: Engine, vm: Vm, verb: keyof typeof allowedFrom): Promise<VmState | undefined> => {
  const {name} = vm
  const observation = await (await hypervisorOf(engine, vm)).observe(vm)
  const {state} = observation
  const allowed: readonly VmState[] = allowedFrom[verb]
  // A guest that has crashed can be stopped, and must not be started beside.
  const crashed = state === 'failed' && isAlive(observation)
  if (!crashed && alreadyIn[verb]?.includes(state)) return state
  if (crashed ? verb === 'stop' : allowed.includes(state)) return undefined
  throw new VmctlError('vmctl::vm::invalid_state', `VM ${name} is ${state}, which does not allow ${verb}.`, {
    help: advice(name, state),
    details: {vm: name, state, verb, allowed},
  })
}

const advice = (name: string, state: VmState): string => {
  if (state === 'suspended' || state === 'saved') return `Resume it with \`vmctl resume ${name}\`.`
  if (state === 'running') return `Suspend it with \`vmctl suspend ${name}\`, or stop it with \`vmctl stop ${name}\`.`
  return `Start it with \`vmctl start ${name}\`.`
}

/** What a VM is to start with. What its backend cannot do is refused here, while the VM may still run. */
const specToStart = async (engine: Engine, vm: Vm): Promise<VmSpec> => {
  const wanted = await wantedSpec(engine, vm)
  await (
    await hypervisorOf(engine, vm)
  ).check(applyChanges(vm.spec, wanted, {effects: new Set(['now', 'restart']), backends: backendNodes(engine)}))
  return wanted
}

/** Starts a VM that is at rest, with what its VMFile says now as far as a start can bring it. */
const boot = async (engine: Engine, vm: Vm, spec: VmSpec): Promise<void> => {
  const plan = planStart({spec, backends: backendNodes(engine)}, {vm, state: stateAtRest(vm)})
  const records = holdRecords(vm.directory, await peekRecords(vm.directory))
  if (plan.steps.length === 1 && plan.notices.length === 0) return startVm(engine, vm, records)
  await engine.emit({type: 'plan.ready', vm: vm.name, plan})
  await applyPlan(engine, {spec, steps: []}, {plan, records})
}

export interface StartOptions {
  /** Whether what a saved guest has in memory is given up, as by a power cut. */
  readonly discardSaved?: boolean | undefined
}

/** Boots a VM, with changes of its VMFile that have waited for that. One that is saved goes on where it was. */
export const start = async (
  engine: Engine,
  name: string,
  {discardSaved: discards = false}: StartOptions = {},
): Promise<LifecycleResult> => {
  try {
    const reading = readingOnce(engine)
    return await transition(reading, {name, verb: 'start', to: 'running'}, async (vm) => {
      if (vm.saved && !discards) return loadVms(reading, [vm])
      const spec = await specToStart(reading, vm)
      return boot(reading, await discardSaved(reading, vm), spec)
    })
  } catch (error) {
    engine.signal.throwIfAborted()
    await cleanUpNetworks(engine, [name])
    throw error
  }
}

/** Powers a VM off; forces it after `timeoutMs` milliseconds, or after its own grace period. */
export const stop = async (engine: Engine, name: string, {timeoutMs}: {timeoutMs?: number} = {}): Promise<LifecycleResult> => {
  const noted = noteForced(engine)
  const result = await transition(engine, {name, verb: 'stop', to: 'stopped'}, async (vm) =>
    stopVm(noted.engine, await awake(engine, vm), timeoutMs ?? stopGraceMs(vm.spec)),
  )
  await cleanUpNetworks(engine, [name])
  return {...result, ...noted.result()}
}

/** Powers a VM off, when it runs, and boots it again, as `start` does, under one lock: no other verb comes in between. */
export const restart = (engine: Engine, name: string, {timeoutMs}: {timeoutMs?: number} = {}): Promise<LifecycleResult> =>
  requireVm(engine.store, name).then(() =>
    withLock(engine, {name, verb: 'restart'}, async () => {
      const vm = await requireVm(engine.store, name)
      const noted = noteForced(engine)
      try {
        const reading = readingOnce(engine)
        const spec = await specToStart(reading, vm)
        const woken = await awake(engine, vm)
        await stopVm(noted.engine, woken, timeoutMs ?? stopGraceMs(vm.spec))
        await boot(reading, woken, spec)
      } catch (error) {
        throw about(error, {vm: name})
      }
      return {...resultOf(vm, 'running'), ...noted.result()}
    }),
  )

export const suspend = (engine: Engine, name: string): Promise<LifecycleResult> =>
  transition(engine, {name, verb: 'suspend', to: 'suspended'}, (vm) => suspendVm(engine, vm))

export const resume = (engine: Engine, name: string): Promise<LifecycleResult> =>
  transition(engine, {name, verb: 'resume', to: 'running'}, (vm) => (vm.saved ? loadVms(engine, [vm]) : resumeVm(engine, vm)))

/** Brings the memory of VMs to disk, of all of them as of one instant, and ends what runs. */
export const suspendToDisk = async (engine: Engine, names: readonly string[]): Promise<readonly LifecycleResult[]> => {
  for (const name of names) await requireVm(engine.store, name)
  await using locks = new AsyncDisposableStack()
  locks.use(await lockVms(engine, names, 'vmctl suspend --disk'))
  const results: LifecycleResult[] = []
  const due: Vm[] = []
  for (const name of names) {
    const vm = await requireVm(engine.store, name)
    const already = await requireAllowed(engine, vm, 'suspend --disk')
    results.push({...resultOf(vm, 'saved'), ...(already && {unchanged: true as const})})
    if (!already) due.push(vm)
  }
  await saveVms(engine, due)
  await locks.disposeAsync()
  await cleanUpNetworks(engine, names)
  return results
}

/** What the end of a VM has led to; the `--json` shape of `destroy`. */
export interface Destroyed {
  readonly name: string
  /** Why the guest had to be forced off; absent when it powered off by itself, did not run, or was given no time to. */
  readonly forced?: string
}

/**
 * Ends a VM and removes everything of it, in whatever state it is. A VM whose record is damaged can be removed too.
 * @param absent what is said of one that does not exist
 */
export const destroy = async (engine: Engine, name: string, {absent}: {readonly absent?: VmctlError} = {}): Promise<Destroyed> => {
  const noted = noteForced(engine)
  if (!(await listVmNames(engine.store)).includes(name)) {
    // What an earlier run could not remove goes now: no other verb is called for a VM that is no more.
    if (isVmName(name)) await withLock(engine, {name, verb: 'destroy'}, () => sweepLeftovers(engine.store, name))
    if (absent) throw absent
    await requireVm(engine.store, name)
  }
  await withLock(engine, {name, verb: 'destroy'}, async () => {
    await sweepLeftovers(engine.store, name)
    await sweepIdleCopies(engine, name)
    const vm = await readVm(engine.store, name).catch(orDamaged)
    if (vm) await destroyVm(noted.engine, vm)
    else await destroyDamaged(engine, name)
  })
  await cleanUpNetworks(engine, [name])
  return {name, ...noted.result()}
}

const orDamaged = (error: unknown): undefined => {
  if (!isFailure(error, 'vmctl::vm::record_damaged')) throw error
}

/** Without a record nothing proves whose process it is, so a VM whose disk is in use stays. */
const destroyDamaged = async (engine: Engine, name: string): Promise<void> => {
  const directory = vmDirectory(engine.store, name)
  const answers = await Promise.all([...engine.hypervisors.values()].map(async (hypervisor) => hypervisor.isDiskOpen?.(directory)))
  if (answers.includes(true)) {
    throw new VmctlError('vmctl::vm::record_damaged', `The record of ${name} cannot be read and its disk is in use by a running process.`, {
      help: 'End that process (`fuser` on the disk in the directory of the VM names it), then destroy the VM.',
    })
  }
  await removeVm(engine.store, name)
}

import {availableParallelism} from 'node:os'

import {about, isVmctlError, severalFailed, summaryOf, VmctlError} from '../../model/errors.ts'
import {type DependencyCondition, dependencyConditions} from '../../model/order.ts'
import type {VmSpec} from '../../model/vm.ts'
import {openSteps} from '../../provision/run/decide.ts'
import {lockVm, vmDirectory, writeVm} from '../../store/store.ts'
import type {Engine} from '../engine.ts'
import type {EngineEvent} from '../events.ts'
import type {Vmfile} from '../load.ts'
import {alone, inOrder, isReached} from '../plan/order.ts'
import {planVm} from '../plan/plan.ts'
import {schedule, type Task} from '../plan/schedule.ts'
import {choose, selectByName, type Selection} from '../plan/select.ts'
import type {Place} from '../plan/vm-plan.ts'
import type {PlanOptions, VmPlan} from '../plan/vm-plan.ts'
import {cleanUpNetworks, repairNetworks} from '../resources/carriers.ts'
import {joinNetworks} from '../resources/networks.ts'
import {lockVolumes} from '../resources/volumes.ts'
import {applyPlan} from '../vm/apply.ts'
import {noteForced} from '../vm/forced.ts'
import {holdRecords} from '../vm/records.ts'
import type {Target} from '../vm/target.ts'
import {goByLock} from '../make/go-by-lock.ts'
import {layerNotices} from '../make/layers.ts'
import {readingOnce} from '../make/steps.ts'
import {type AtOnce, openAtOnce} from './at-once.ts'
import {placeAmongOthers, type Situation, situationOf, situationsOf} from './observe.ts'
import {destroyOrphans, findOrphans, type Orphan, orphanNotice, planForOrphan} from './orphans.ts'
import {type Progress, resultOf, resultOfOrphan, type VmResult} from './result.ts'
import {requireRunnable} from './runnable.ts'
import {startStopwatch} from './timings.ts'

export interface ConvergeOptions extends PlanOptions, Selection {
  readonly vmfile: Vmfile
  /** How many VMs are worked on at once; `defaultParallel` when absent. */
  readonly parallel?: number | undefined
  /** `down` only: removes the volumes of the VMs too, with everything on them. */
  readonly volumes?: boolean | undefined
  /** `up` only: whether the VMs are warm although their VMFile does not say so. */
  readonly warm?: boolean | undefined
  /** `up` and `down` of the whole file: destroys the VMs that the file has made and no longer defines. */
  readonly removeOrphans?: boolean | undefined
}

/** A VM's `up` may provision for an hour while another one waits for it. */
const patienceMs = 3_600_000

/**
 * How many VMs are worked on at once unless told. Guests that boot want a core each, and a few more keep the cores busy
 * while others wait for their disks.
 */
export const defaultParallel = (): number => 2 * availableParallelism()

/** What would be done, in that order, without a lock and without changing anything. */
export const planAll = async (engine: Engine, options: ConvergeOptions): Promise<VmPlan[]> => {
  const specs = choose(options)
  const ordered = options.verb === 'down' ? inOrder(specs).toReversed() : inOrder(specs)
  if (makes(options)) await requireRunnable(engine, specs)
  // A plan that would be refused is worth seeing all the same.
  const reading = readingOnce(await lockedEngine({...engine, frozen: undefined}, options), options.vmfile.readDockerfile)
  const situations = new Map(
    await Promise.all(ordered.map(async (spec) => [spec.name, await situationOf(reading, spec, options)] as const)),
  )
  const places = await placeAmongOthers(engine, specs, {options, situations})
  const plans = ordered.flatMap(({name}) => {
    const situation = situations.get(name)
    return situation
      ? [withLayerNotices(reading, situation.target, planVm(situation.target, situation.observed, {...options, place: places.get(name)}))]
      : []
  })
  const orphans = await orphansOf(engine, options)
  return [...plans, ...orphans.map((orphan) => planForOrphan(orphan, {remove: options.removeOrphans ?? false}))]
}

/** Told to who looks at a plan, not at each `up`. */
const withLayerNotices = (engine: Engine, target: Target, plan: VmPlan): VmPlan => {
  const isMade = plan.steps.some(({action}) => action === 'create' || action === 'recreate')
  return isMade && target.layers ? {...plan, notices: [...plan.notices, ...layerNotices(engine, target)]} : plan
}

/** Whether VMs are made or started. */
const makes = ({verb}: ConvergeOptions): boolean => verb === 'up' || verb === 'reload'

/** A verb that makes VMs goes by the lock file of their images. */
const lockedEngine = async (engine: Engine, options: ConvergeOptions): Promise<Engine> => {
  if (!makes(options)) return engine
  return goByLock(
    engine,
    options.vmfile.path,
    choose(options).map(({image}) => image),
  )
}

/** Orphans concern who works on the whole file. */
const orphansOf = async (engine: Engine, {vmfile, names = [], removeOrphans}: ConvergeOptions): Promise<readonly Orphan[]> => {
  if (names.length === 0) return findOrphans(engine, vmfile)
  if (!removeOrphans) return []
  throw new VmctlError('vmctl::usage::invalid', 'Orphans are those of the whole VMFile, and VMs are named.', {
    help: 'Leave out --remove-orphans, or the names. `vmctl destroy NAME` removes a single VM.',
  })
}

/** The same for one VM, as if there were no others. */
export const planOne = async (engine: Engine, name: string, options: Omit<ConvergeOptions, 'names'>): Promise<VmPlan> => {
  const [spec, ...others] = selectByName(options.vmfile, name)
  if (!spec || others.length > 0) {
    throw new VmctlError('vmctl::usage::invalid', `${name} has replicas: ${[spec, ...others].map((one) => one?.name).join(', ')}.`, {
      help: 'Name one of them.',
    })
  }
  const {target, observed} = await situationOf(readingOnce(engine, options.vmfile.readDockerfile), spec, options)
  return planVm(target, observed, options)
}

/**
 * Brings the VMs of a VMFile to where the verb wants them, in the order of their dependencies and else in parallel. A failure
 * of one stops only those that wait for it; each is told by an event and stands in the results.
 */
export const converge = async (engine: Engine, given: ConvergeOptions): Promise<VmResult[]> => {
  const options = given.warm ? {...given, vmfile: warmed(given.vmfile)} : given
  const orphans = await orphansOf(engine, options)
  // What is wrong with the file is told before anything is made or removed for it.
  inOrder(choose(options))
  if (makes(options)) await requireRunnable(engine, choose(options))
  const locked = await lockedEngine(engine, options)
  const removed = options.removeOrphans ? await destroyOrphans(engine, orphans) : []
  const removeVolumes = options.volumes ? await lockVolumes(engine, choose(options)) : undefined
  if (!options.removeOrphans)
    for (const orphan of orphans) await engine.emit({type: 'vm.notice', vm: orphan.vm, message: orphanNotice(orphan)})
  const results = await convergeAll(readingOnce(locked, options.vmfile.readDockerfile), options)
  for (const id of (await removeVolumes?.()) ?? []) await engine.emit({type: 'vm.notice', message: `the volume ${id} is removed`})
  return [...removed.map(resultOfOrphan), ...results]
}

const warmed = (vmfile: Vmfile): Vmfile => ({...vmfile, vms: vmfile.vms.map((spec) => ({...spec, warm: true}))})

const convergeAll = async (engine: Engine, options: ConvergeOptions): Promise<VmResult[]> => {
  const specs = choose(options)
  // All of the file, not only those that are asked for: a guest knows the names also of VMs that come later.
  if (options.verb !== 'down') await joinNetworks(engine, options.vmfile.vms, true)
  // Also for its verdict on circles, in which everybody would wait for ever.
  const isOrdered = [...inOrder(specs), ...options.vmfile.vms].some(({dependsOn}) => dependsOn !== undefined)
  const situations = isOrdered ? await situationsOf(engine, specs, options) : new Map<string, Situation>()
  const places = isOrdered ? await placeAmongOthers(engine, specs, {options, situations}) : new Map<string, Place>()
  await using atOnce = await openAtOnce(engine, specs, options)
  const works = specs.map((spec) => makeWork(engine, spec, {options, place: places.get(spec.name) ?? alone, atOnce}))
  for (const {task} of works) await engine.emit({type: 'vm.queued', vm: task.name, after: task.after})
  const outcomes = await schedule(
    works.map(({task}) => task),
    {
      parallel: options.parallel ?? defaultParallel(),
      signal: engine.signal,
      onFailure: async (name, error) => {
        if (specs.length > 1 && !engine.signal.aborted) await engine.emit({type: 'vm.failed', vm: name, error: about(error, {vm: name})})
      },
    },
  )
  await atOnce[Symbol.asyncDispose]()
  if (engine.signal.aborted) throw engine.signal.reason
  if (options.verb === 'down' || outcomes.some(({status}) => status === 'rejected')) {
    await cleanUpNetworks(
      engine,
      specs.map(({name}) => name),
    )
  }
  return await concluded(engine, {works, outcomes})
}

/** What has become of the VMs, or the error of all of them when one has failed. */
const concluded = async (
  engine: Engine,
  {works, outcomes}: {readonly works: readonly Work[]; readonly outcomes: readonly PromiseSettledResult<void>[]},
): Promise<VmResult[]> => {
  const errors: {name: string; error: unknown}[] = []
  const results = await Promise.all(
    works.map(async ({spec, progress}, index) => {
      const outcome = outcomes[index]
      const result = await resultOf(engine, spec, progress)
      if (outcome?.status !== 'rejected') return result
      const error = about(outcome.reason, {vm: spec.name})
      errors.push({name: spec.name, error})
      return {...result, error: summaryOf(error)}
    }),
  )
  if (errors.length === 0) return results
  const [only] = errors
  const details = {vms: results}
  if (works.length === 1 && only) throw isVmctlError(only.error) ? only.error.reword({details}) : only.error
  const failed = results.flatMap(({name}) => errors.find((one) => one.name === name) ?? [])
  throw severalFailed(failed, {of: works.length, details})
}

/** What a VM is worked on with. */
interface Surroundings {
  readonly options: ConvergeOptions
  readonly place: Place
  readonly atOnce: AtOnce
}

interface Work {
  readonly spec: VmSpec
  readonly progress: Progress
  readonly task: Task<void>
}

const makeWork = (engine: Engine, spec: VmSpec, {options, place, atOnce}: Surroundings): Work => {
  const progress: Progress = {stopwatch: startStopwatch()}
  const task: Task<void> = {
    name: spec.name,
    after: place.after,
    async run(reached) {
      const follow = followPlan(reached)
      const timed = noteForced({
        ...engine,
        emit: (event) => {
          progress.stopwatch.note(event)
          follow(event)
          return engine.emit(event)
        },
      })
      progress.forced = timed.result
      await engine.emit({type: 'vm.begin', vm: spec.name})
      await convergeVm(timed.engine, spec, {options, place, atOnce, progress})
      await engine.emit({type: 'vm.done', vm: spec.name})
    },
  }
  return {spec, progress, task}
}

/** Derives from the events of one VM which conditions it has come past. */
const followPlan = (reached: (condition: DependencyCondition) => void): ((event: EngineEvent) => void) => {
  let rest: VmPlan['steps'] = []
  let isGuestReady = false
  return (event) => {
    if (event.type === 'plan.ready') rest = event.plan.steps
    else if (event.type === 'action.end') rest = rest.slice(1)
    else if (event.type === 'guest.milestone' && event.milestone === 'ready') isGuestReady = true
    else return
    for (const condition of dependencyConditions) if (isReached(condition, rest, isGuestReady)) reached(condition)
  }
}

const lockOf = (engine: Engine, {name}: VmSpec, {verb}: ConvergeOptions): Promise<AsyncDisposable> =>
  lockVm(engine.store, name, {
    purpose: `vmctl ${verb} ${name}`,
    timeoutMs: engine.lockTimeoutMs ?? patienceMs,
    signal: engine.signal,
    onWait: (holder) => void engine.emit({type: 'lock.waiting', vm: name, holder}),
  })

const convergeVm = async (
  engine: Engine,
  spec: VmSpec,
  {options, place, atOnce, progress}: Surroundings & {readonly progress: Progress},
): Promise<void> => {
  await using _lock = atOnce.holds(spec.name) ? undefined : await lockOf(engine, spec, options)
  const {target, observed} = await situationOf(engine, spec, options)
  const plan = planVm(target, observed, {...options, place})
  progress.plan = plan
  await engine.emit({type: 'plan.ready', vm: spec.name, plan})
  if (observed.vm && observed.isNewRecord && options.verb !== 'down') await writeVm(observed.vm)
  // Before the start: a kill in between must not leave steps as done that this start makes due.
  const records = holdRecords(vmDirectory(engine.store, spec.name), observed)
  if (observed.vm && startsAgain(plan))
    await records.writeJournal({...openSteps(observed.journal, target.steps, plan.provision), restarted: true})
  await applyPlan(engine, target, {plan, records, atOnce: atOnce.act})
  if (options.verb === 'up') await repairNetworks(engine, target.spec)
}

/** Whether steps are due because the VM is started again on the disk that it has. Elsewhere nothing is due before the guest is reached. */
const startsAgain = ({steps}: VmPlan): boolean => {
  const actions = new Set(steps.map(({action}) => action))
  return actions.has('provision') && actions.has('start') && !actions.has('recreate')
}

import {setupHashes} from '../guest/setup/script.ts'
import {findImage} from '../image/cache.ts'
import {aboutVm, isVmctlError, messageOf, VmctlError} from '../model/errors.ts'
import {closest} from '../model/names.ts'
import type {Vm, VmSpec, VmState} from '../model/vm.ts'
import {emptyJournal, readJournal, writeJournal} from '../provision/journal.ts'
import {openSteps} from '../provision/decide.ts'
import {lockVm, readVm} from '../store/store.ts'
import type {Vmfile} from '../vmfile/index.ts'
import {applyPlan, type Target} from './apply.ts'
import {setupOf} from './attach.ts'
import {type Engine, hypervisorOf} from './engine.ts'
import {type Observed, type PlanOptions, planVm, type VmPlan} from './plan.ts'
import {stepsOf} from './steps.ts'
import {startStopwatch, type Stopwatch, type Timing} from './timings.ts'

export interface ConvergeOptions extends PlanOptions {
  readonly vmfile: Vmfile
  /** Only these VMs; all of the file when absent. */
  readonly names?: readonly string[] | undefined
}

/** What became of one VM; the `--json` shape of `up`, `down`, `reload` and `provision`. */
export interface VmResult {
  readonly name: string
  readonly state: VmState
  /** What was to be done; without a duration it was not begun. */
  readonly actions: readonly {readonly action: string; readonly cause: string; readonly durationMs?: number}[]
  /** Where the time went: actions, rungs of the boot, steps. */
  readonly timings: readonly Timing[]
  readonly notices: readonly string[]
  readonly error?: {readonly code: string; readonly message: string; readonly help?: string}
}

/** A VM's `up` may provision for an hour while another one waits for it. */
const patienceMs = 3_600_000

/** The specs that `--name` selects. Throws `vmctl::vm::not_found` with the names of the file for one that matches nothing. */
export const selectVms = (vmfile: Vmfile, names: readonly string[] | undefined): readonly VmSpec[] => {
  if (!names || names.length === 0) return vmfile.vms
  return names.map((name) => selectVm(vmfile, name))
}

const selectVm = (vmfile: Vmfile, name: string): VmSpec => {
  const spec = vmfile.vms.find((candidate) => candidate.name === name)
  if (spec) return spec
  const known = vmfile.vms.map((candidate) => candidate.name)
  const suggestion = closest(name, known)
  throw new VmctlError(
    'vmctl::vm::not_found',
    `${vmfile.path} defines no VM named ${JSON.stringify(name)}; it defines ${known.join(', ')}.`,
    {
      help: suggestion === undefined ? `Use one of: ${known.join(', ')}.` : `Did you mean ${suggestion}?`,
    },
  )
}

/** What would be done, without a lock and without changing anything. */
export const planAll = async (engine: Engine, options: ConvergeOptions): Promise<VmPlan[]> =>
  Promise.all(selectVms(options.vmfile, options.names).map((spec) => planSpec(engine, spec, options)))

/** The same for one VM. */
export const planOne = async (engine: Engine, name: string, options: Omit<ConvergeOptions, 'names'>): Promise<VmPlan> => {
  return planSpec(engine, selectVm(options.vmfile, name), options)
}

const planSpec = async (engine: Engine, spec: VmSpec, options: ConvergeOptions): Promise<VmPlan> => {
  const target = await aim(engine, spec, options)
  return planVm(target, await observe(engine, spec, options), options)
}

/**
 * Brings the VMs of a VMFile to where the verb wants them, in parallel. A failure of one does not stop the others;
 * each is told by an event and stands in the results.
 */
export const converge = async (engine: Engine, options: ConvergeOptions): Promise<VmResult[]> => {
  const specs = selectVms(options.vmfile, options.names)
  const errors: unknown[] = []
  const results = await Promise.all(
    specs.map(async (spec) => {
      const progress: Progress = {stopwatch: startStopwatch()}
      const timed: Engine = {
        ...engine,
        emit: (event) => {
          progress.stopwatch.note(event)
          return engine.emit(event)
        },
      }
      try {
        await convergeVm(timed, spec, {options, progress})
        return await resultOf(engine, spec, progress)
      } catch (cause) {
        const error = aboutVm(cause, spec.name)
        errors.push(error)
        if (specs.length > 1) await engine.emit({type: 'vm.failed', vm: spec.name, error})
        return {...(await resultOf(engine, spec, progress)), error: describeError(error)}
      }
    }),
  )
  if (engine.signal.aborted) throw engine.signal.reason
  if (errors.length === 0) return results
  if (specs.length === 1) throw errors[0]
  const failed = results.filter((result) => result.error)
  throw new VmctlError(
    'vmctl::vms::failed',
    `${failed.length} of ${specs.length} VMs failed: ${failed.map(({name}) => name).join(', ')}.`,
    {
      details: {vms: results},
    },
  )
}

interface Progress {
  readonly stopwatch: Stopwatch
  plan?: VmPlan
}

const convergeVm = async (
  engine: Engine,
  spec: VmSpec,
  {options, progress}: {options: ConvergeOptions; progress: Progress},
): Promise<void> => {
  await using _lock = await lockVm(engine.store, spec.name, {
    purpose: `vmctl ${options.verb} ${spec.name}`,
    timeoutMs: engine.lockTimeoutMs ?? patienceMs,
    signal: engine.signal,
    onWait: (holder) => void engine.emit({type: 'lock.waiting', vm: spec.name, holder}),
  })
  const target = await aim(engine, spec, options)
  const observed = await observe(engine, spec, options)
  const plan = planVm(target, observed, options)
  progress.plan = plan
  await engine.emit({type: 'plan.ready', vm: spec.name, plan})
  // Before the start: a kill in between must not leave steps as done that this start makes due.
  if (observed.vm && startsAgain(plan)) await writeJournal(observed.vm.directory, openSteps(observed.journal, target.steps, plan.provision))
  await applyPlan(engine, target, plan)
}

/** Whether steps are due because the VM is started again on the disk that it has. Elsewhere nothing is due before the guest is reached. */
const startsAgain = ({steps}: VmPlan): boolean => {
  const actions = new Set(steps.map(({action}) => action))
  return actions.has('provision') && actions.has('start') && !actions.has('recreate')
}

const aim = async (engine: Engine, spec: VmSpec, {vmfile, verb}: ConvergeOptions): Promise<Target> => ({
  spec,
  vmfile: vmfile.path,
  // `down` must work although a script of the VMFile is gone.
  ...(verb === 'down' ? {steps: []} : {steps: await stepsOf(engine, spec, vmfile.path), setup: setupHashes(await setupOf(engine, spec))}),
})

const observe = async (engine: Engine, spec: VmSpec, {vmfile, verb}: ConvergeOptions): Promise<Observed> => {
  const vm = await readVm(engine.store, spec.name)
  // Looking at an image means running qemu-img, which is worth it only where a disk may be made from it.
  const needsImage = verb === 'reload' || (verb === 'up' && !vm)
  const imageIsHere = !needsImage || (await findImage(engine.images, spec.image)) !== undefined
  if (!vm) return {observation: {state: 'destroyed'}, journal: emptyJournal, imageIsHere}
  requireOwner(vm, vmfile)
  const [observation, journal] = await Promise.all([(await hypervisorOf(engine, vm)).observe(vm), readJournal(vm.directory)])
  return {vm, observation, journal, imageIsHere}
}

const requireOwner = (vm: Vm, vmfile: Vmfile): void => {
  if (vm.vmfile === vmfile.path) return
  const owner = vm.vmfile === undefined ? '`vmctl create`' : vm.vmfile
  throw new VmctlError(
    'vmctl::vm::owned_elsewhere',
    `A VM named ${vm.name} exists already; it was made by ${owner}, not by ${vmfile.path}.`,
    {
      details: {vm: vm.name, owner: vm.vmfile},
    },
  )
}

const resultOf = async (engine: Engine, spec: VmSpec, {plan, stopwatch}: Progress): Promise<VmResult> => {
  const durations = stopwatch.actions()
  const vm = await readVm(engine.store, spec.name).catch(() => undefined)
  const state = vm ? (await (await hypervisorOf(engine, vm)).observe(vm)).state : 'destroyed'
  return {
    name: spec.name,
    state,
    actions: (plan?.steps ?? []).map(({action, cause}, index) => {
      const durationMs = durations[index]
      return {action, cause, ...(durationMs !== undefined && {durationMs})}
    }),
    timings: stopwatch.timings(),
    notices: plan?.notices ?? [],
  }
}

const describeError = (error: unknown): NonNullable<VmResult['error']> =>
  isVmctlError(error) ? {code: error.code, message: error.message, help: error.help} : {code: 'unexplained', message: messageOf(error)}

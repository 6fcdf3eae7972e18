import {type GuestRecord, newGuest} from '../../guest/record.ts'
import {VmctlError} from '../../model/errors.ts'
import {canLogIn} from '../../model/login.ts'
import {whyUnsaveable} from '../../model/saveable.ts'
import {isAlive, type Vm, type VmSpec, type VmState} from '../../model/vm.ts'
import {decideSteps, type Request} from '../../provision/run/decide.ts'
import {emptyJournal, type Journal} from '../../provision/run/journal.ts'
import {compareSpecs} from '../../vmfile/changes.ts'
import type {Change} from '../../vmfile/grammar/change.ts'
import {gates, withOrder} from './conditions.ts'
import {noLoginNotice, requireLogin} from './login.ts'
import {alone} from './order.ts'
import {describeVerdict, isDue, noticesOf, runsToEnd} from './verdicts.ts'
import type {Desired, Observed, PlanOptions, PlanStep, VmPlan} from './vm-plan.ts'

/** Compares what is wanted with what was seen and decides what to do; pure, so that a plan can be shown without being applied. */
export const planVm = (desired: Desired, observed: Observed, options: PlanOptions): VmPlan => {
  const {name} = desired.spec
  const {place = alone} = options
  const make = {up: planUp, down: planDown, reload: planReload, provision: planProvision}[options.verb]
  const {steps, notices: told, provision} = make(desired, observed, options)
  const all = [...steps, ...gates(desired, steps, {...options, place})]
  return {
    vm: name,
    after: place.after,
    steps: all.map((step) => withOrder(step, place)),
    notices: [
      ...(observed.ownership === undefined ? [] : [observed.ownership]),
      ...(all.length > 0 ? told.filter((notice) => notice !== idle) : told),
      ...place.notices,
    ],
    provision,
  }
}

type Decision = Omit<VmPlan, 'vm' | 'after'>

const idle = 'is already running'

const planUp = (desired: Desired, observed: Observed, options: PlanOptions): Decision => {
  const {vm, observation} = observed
  if (!vm) {
    const first = afterStart(desired, newDisk(observed), options)
    return {
      ...first,
      steps: [
        ...fetchImage(observed),
        {action: 'create', cause: `does not exist${fromLayer(observed)}`},
        {action: 'start', cause: 'new'},
        ...first.steps,
      ],
    }
  }
  const changes = compareSpecs(vm.spec, desired.spec, desired.backends)
  const alive = isAlive(observation)
  if (observation.state === 'saved' && !options.discardSaved) return planLoad(desired, {...observed, vm}, options)
  if (observation.state === 'failed' || !alive) {
    const stop: PlanStep[] = alive ? [{action: 'stop', cause: 'the guest has crashed'}] : discard(vm)
    const after = afterStart(desired, {journal: observed.journal, cause: vm.phase === 'prepared' ? 'first start' : 'restarted'}, options)
    return {
      ...after,
      steps: [...stop, ...update(changes, false), {action: 'start', cause: observation.state}, ...after.steps],
      notices: [...notices(desired, changes, false), ...rebuilt(desired, observed), ...after.notices],
    }
  }
  const rest = unfinished(desired, observed, options)
  const told = [...notices(desired, changes, true), ...rebuilt(desired, observed)]
  const steps = [
    ...update(changes, true),
    ...(observation.state === 'suspended'
      ? [{action: 'resume', cause: observation.pause === undefined ? 'suspended' : `paused: ${observation.pause}`} as const]
      : []),
    ...rest.steps,
  ]
  return {
    ...rest,
    steps,
    notices: [...(steps.length === 0 ? [idle] : []), ...(observation.problems ?? []), ...told, ...rest.notices],
  }
}

/** Before anything is changed that the memory would not fit any more. */
const discard = ({saved}: Vm): PlanStep[] => (saved ? [{action: 'discard', cause: `--discard-saved, saved ${saved.savedAt}`}] : [])

/** A saved guest is one that runs, but for the time: it goes on as it was, and what needs a start of it waits for that. */
const planLoad = (desired: Desired, observed: Observed & {readonly vm: Vm}, options: PlanOptions): Decision => {
  const {vm} = observed
  const changes = compareSpecs(vm.spec, desired.spec, desired.backends)
  const rest = unfinished(desired, observed, options)
  const wait: PlanStep[] = rest.steps.length === 0 && canLogIn(desired.spec) ? [{action: 'wait', cause: 'loaded'}] : []
  return {
    ...rest,
    steps: [{action: 'load', cause: `saved ${vm.saved?.savedAt}`}, ...update(changes, true), ...rest.steps, ...wait],
    notices: [...notices(desired, changes, true), ...rebuilt(desired, observed), ...rest.notices],
  }
}

/**
 * The start of a VM that is at rest, with what has waited for one. Provision steps are left alone. A guest that gets something
 * new is waited for, since some of it (a mount, a larger file system) is set up from inside.
 */
export const planStart = (desired: Pick<Desired, 'spec' | 'backends'>, {vm, state}: {readonly vm: Vm; readonly state: VmState}): VmPlan => {
  const observed = {vm, observation: {state}, journal: emptyJournal, imageIsHere: true}
  const {steps, ...rest} = planVm({...desired, steps: []}, observed, {verb: 'up', provision: false})
  const isUpdated = steps.some(({action}) => action === 'update')
  return {...rest, steps: isUpdated && canLogIn(desired.spec) ? [...steps, {action: 'wait', cause: 'updated'}] : steps}
}

const planDown = ({spec}: Desired, observed: Observed, options: PlanOptions): Decision => {
  const {vm, observation} = observed
  const decide = (steps: readonly PlanStep[], ...told: readonly string[]): Decision => ({steps, notices: told, provision: []})
  if (!vm) return decide([], 'does not exist')
  if (options.destroy) return decide([{action: 'destroy', cause: `--destroy, ${observation.state}`}])
  const {state} = observation
  if (state === 'saved') return planDownOfSaved(vm, options)
  if (!isAlive(observation)) return decide([], 'is not running')
  const stop: PlanStep = {action: 'stop', cause: state}
  const {save = isWarm(spec, vm)} = options
  if (!save || state === 'failed') return decide([stop])
  const why = whyUnsaveable(vm.spec)
  if (why === undefined) return decide([{action: 'save', cause: `${options.save ? '--save' : 'warm'}, ${state}`}])
  // In order, so nothing is lost.
  if (!options.save) return decide([stop], `is powered off although it is warm: ${why}`)
  throw new VmctlError('vmctl::snapshot::unsupported', `The memory of ${vm.name} cannot be saved: ${why}.`, {
    help: `Nothing was changed. \`vmctl down ${vm.name}\` without --save powers it off; \`vmctl down --save\` with names saves the others.`,
  })
}

/** Whether `down` keeps the memory of a VM by itself: its VMFile says so, or its last `up` did. */
export const isWarm = (spec: VmSpec, vm: Pick<Vm, 'spec'>): boolean => spec.warm === true || vm.spec.warm === true

/** A saved guest is down. Only who says so has it go on to power off. */
const planDownOfSaved = ({saved}: Vm, {save}: PlanOptions): Decision => {
  if (save !== false) return {steps: [], notices: [`is saved, as of ${saved?.savedAt}; \`vmctl up\` goes on there`], provision: []}
  return {
    steps: [
      {action: 'load', cause: '--no-save, saved'},
      {action: 'stop', cause: '--no-save'},
    ],
    notices: [],
    provision: [],
  }
}

const planReload = (desired: Desired, observed: Observed, options: PlanOptions): Decision => {
  const make: PlanStep = observed.vm
    ? {action: 'recreate', cause: `asked for, ${observed.observation.state}${fromLayer(observed)}`}
    : {action: 'create', cause: `does not exist${fromLayer(observed)}`}
  const first = afterStart(desired, newDisk(observed), options)
  return {...first, steps: [...fetchImage(observed), make, {action: 'start', cause: 'new'}, ...first.steps]}
}

const planProvision = (desired: Desired, observed: Observed, {request}: PlanOptions): Decision => {
  const {name} = desired.spec
  const left = runsToEnd(desired.steps, observed.journal)
  if (desired.steps.length === 0 && left.length === 0) return {steps: [], notices: ['has no provision steps'], provision: []}
  requireLogin(desired.spec)
  requireStep(desired, request)
  const {state} = observed.observation
  if (!observed.vm || state !== 'running') {
    throw new VmctlError(
      'vmctl::vm::invalid_state',
      `${name} is ${observed.vm ? state : 'not created yet'}; only a running VM can be provisioned.`,
      {
        help: `Bring it up first: \`vmctl up --name ${name}\`.`,
      },
    )
  }
  const changes = compareSpecs(observed.vm.spec, desired.spec, desired.backends)
  const provision = decideSteps(observed.journal, desired.steps, {restarted: false, request: request ?? {kind: 'all'}})
  return {
    steps: [...update(changes, true), {action: 'provision', cause: 'asked for'}],
    notices: [...notices(desired, changes, true), ...noticesOf(provision), ...left],
    provision,
  }
}

const requireStep = ({spec, steps}: Desired, request: Request | undefined): void => {
  if (!request || request.kind === 'all' || (request.step >= 1 && request.step <= steps.length)) return
  throw new VmctlError(
    'vmctl::usage::invalid',
    `${spec.name} has ${steps.length} provision step${steps.length === 1 ? '' : 's'}; there is no step ${request.step}.`,
    {
      help: `\`vmctl why ${spec.name}\` lists them.`,
    },
  )
}

const fetchImage = ({imageIsHere}: Observed): PlanStep[] => (imageIsHere ? [] : [{action: 'fetch-image', cause: 'not in the cache'}])

/** What is known of the steps when a VM is started, and how that start is called. */
interface Start {
  readonly journal: Journal
  readonly cause: 'first start' | 'restarted'
}

const newDisk = ({layer}: Observed): Start => ({journal: layer?.journal ?? emptyJournal, cause: 'first start'})

const fromLayer = ({layer}: Observed): string => (layer ? `; ${layer.text}` : '')

/** What follows on the start of a VM. Steps that are not bound to a change run again, which is the vmctl book's rule. */
const afterStart = (desired: Desired, {journal, cause}: Start, options: PlanOptions): Decision => {
  const noLogin = cause === 'first start' ? noLoginNotice(desired.spec) : undefined
  const told = noLogin === undefined ? [] : [noLogin]
  if (!options.provision) return {steps: [], notices: told, provision: []}
  if (desired.steps.length > 0) requireLogin(desired.spec)
  const provision = decideSteps(journal, desired.steps, {restarted: true})
  const left = runsToEnd(desired.steps, journal)
  const isIdle = !provision.some(isDue) && (left.length === 0 || !canLogIn(desired.spec))
  const wait: PlanStep[] = canLogIn(desired.spec) ? [{action: 'wait', cause}] : []
  return {steps: isIdle ? wait : [{action: 'provision', cause}], notices: [...told, ...noticesOf(provision), ...left], provision}
}

/** What an earlier run has not brought to an end, or what has changed since. */
const unfinished = (desired: Desired, {journal, guest = newGuest}: Observed, options: PlanOptions): Decision => {
  if (!options.provision) return {steps: [], notices: [], provision: []}
  const provision = decideSteps(journal, desired.steps, {restarted: false})
  const due = provision.filter(isDue)
  const left = runsToEnd(desired.steps, journal)
  const decide = (steps: readonly PlanStep[]): Decision => ({steps, notices: [...noticesOf(provision), ...left], provision})
  if (due.length > 0) {
    requireLogin(desired.spec)
    return decide([{action: 'provision', cause: due.map(describeVerdict).join('; ')}])
  }
  if (!canLogIn(desired.spec)) return decide([])
  if (left.length > 0) return decide([{action: 'provision', cause: 'a step is no longer declared'}])
  if (!guest.ready) return decide([{action: 'wait', cause: 'was never seen ready'}])
  const changed = changedSetup(desired, guest)
  return decide(changed.length > 0 ? [{action: 'configure', cause: `${changed.join(', ')} changed`}] : [])
}

const changedSetup = ({setup = {}}: Desired, {setup: known = {}}: GuestRecord): string[] =>
  Object.keys({...known, ...setup}).filter((part) => known[part] !== setup[part])

const update = (changes: readonly Change[], alive: boolean): PlanStep[] => {
  const applicable = changes.filter(({effect}) => effect === 'now' || (effect === 'restart' && !alive))
  return applicable.length > 0 ? [{action: 'update', cause: applicable.map(({text}) => text).join(', ')}] : []
}

/** A VM keeps the build that it is made from. */
const rebuilt = ({spec}: Desired, {otherBuild}: Observed): string[] =>
  otherBuild === undefined ? [] : [`changed, needs \`vmctl reload --name ${spec.name}\`: ${otherBuild}`]

const notices = ({spec}: Desired, changes: readonly Change[], alive: boolean): string[] =>
  changes.flatMap(({effect, text}) => {
    if (effect === 'reload') return [`changed, needs \`vmctl reload --name ${spec.name}\`: ${text}`]
    if (effect === 'restart' && alive) {
      return [`changed, needs a restart (\`vmctl restart ${spec.name}\`): ${text}`]
    }
    return []
  })

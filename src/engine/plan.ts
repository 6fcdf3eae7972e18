import type {Journal} from '../provision/journal.ts'
import {remainingSteps} from '../provision/journal.ts'
import {VmctlError} from '../model/errors.ts'
import type {Observation, Vm, VmSpec} from '../model/vm.ts'
import {type Change, compareSpecs} from './changes.ts'

export type Action = 'fetch-image' | 'create' | 'recreate' | 'update' | 'stop' | 'start' | 'resume' | 'wait' | 'provision' | 'destroy'

export interface PlanStep {
  readonly action: Action
  /** Why, in words. */
  readonly cause: string
  /** `provision` only: the first step to run, counted from 0. */
  readonly from?: number
}

/** What will be done to one VM, in order, and what was seen but will not be done. */
export interface VmPlan {
  readonly vm: string
  readonly steps: readonly PlanStep[]
  /** Why nothing is done, or what the user has to do for a change to take effect. */
  readonly notices: readonly string[]
}

export type Verb = 'up' | 'down' | 'reload' | 'provision'

export interface Desired {
  readonly spec: VmSpec
  /** Title and chained hash of every provision step. */
  readonly steps: readonly {readonly title: string; readonly hash: string}[]
}

export interface Observed {
  /** Absent when the VM does not exist. */
  readonly vm?: Vm
  readonly observation: Observation
  readonly journal: Journal
  readonly imageIsHere: boolean
}

export interface PlanOptions {
  readonly verb: Verb
  /** Whether provision steps may run. */
  readonly provision: boolean
  /** `down --destroy`. */
  readonly destroy?: boolean
}

/** Whether vmctl can log in: it has made the credentials, or was told which to use. */
export const canLogIn = (spec: VmSpec): boolean =>
  spec.network.type !== 'none' && (spec.ssh !== undefined || (spec.cloudInit !== undefined && spec.cloudInit.userData === undefined))

/** Compares what is wanted with what was seen and decides what to do; pure, so that a plan can be shown without being applied. */
export const planVm = (desired: Desired, observed: Observed, options: PlanOptions): VmPlan => {
  const {name} = desired.spec
  const make = {up: planUp, down: planDown, reload: planReload, provision: planProvision}[options.verb]
  return {vm: name, ...make(desired, observed, options)}
}

type Decision = Omit<VmPlan, 'vm'>

const planUp = (desired: Desired, observed: Observed, options: PlanOptions): Decision => {
  const {vm, observation} = observed
  if (!vm)
    return {steps: [...fetchImage(observed), {action: 'create', cause: 'does not exist'}, ...firstStart(desired, options)], notices: []}
  const changes = compareSpecs(vm.spec, desired.spec)
  const isAlive = observation.pid !== undefined || observation.state === 'running' || observation.state === 'suspended'
  if (observation.state === 'failed' && isAlive) {
    return {
      steps: [{action: 'stop', cause: 'the guest has crashed'}, ...update(changes, false), ...restart(desired, observed, options)],
      notices: notices(desired, changes, false),
    }
  }
  if (!isAlive)
    return {steps: [...update(changes, false), ...restart(desired, observed, options)], notices: notices(desired, changes, false)}
  const steps = [
    ...update(changes, true),
    ...(observation.state === 'suspended' ? [{action: 'resume', cause: 'suspended'} as const] : []),
    ...unfinished(desired, observed, options),
  ]
  return {steps, notices: [...(steps.length === 0 ? ['is already running'] : []), ...notices(desired, changes, true)]}
}

const planDown = (_desired: Desired, observed: Observed, options: PlanOptions): Decision => {
  const {vm, observation} = observed
  if (!vm) return {steps: [], notices: ['does not exist']}
  if (options.destroy) return {steps: [{action: 'destroy', cause: `--destroy, ${observation.state}`}], notices: []}
  const isAlive = observation.pid !== undefined || observation.state === 'running' || observation.state === 'suspended'
  return isAlive ? {steps: [{action: 'stop', cause: observation.state}], notices: []} : {steps: [], notices: ['is not running']}
}

const planReload = (desired: Desired, observed: Observed, options: PlanOptions): Decision => {
  const make: PlanStep = observed.vm
    ? {action: 'recreate', cause: `asked for, ${observed.observation.state}`}
    : {action: 'create', cause: 'does not exist'}
  return {steps: [...fetchImage(observed), make, ...firstStart(desired, options)], notices: []}
}

const planProvision = (desired: Desired, observed: Observed): Decision => {
  const {name} = desired.spec
  if (desired.steps.length === 0) return {steps: [], notices: ['has no provision steps']}
  requireLogin(desired.spec)
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
  const changes = compareSpecs(observed.vm.spec, desired.spec)
  return {steps: [...update(changes, true), {action: 'provision', cause: 'asked for', from: 0}], notices: notices(desired, changes, true)}
}

const fetchImage = ({imageIsHere}: Observed): PlanStep[] => (imageIsHere ? [] : [{action: 'fetch-image', cause: 'not in the cache'}])

/** Start of a VM whose disk is new. */
const firstStart = (desired: Desired, options: PlanOptions): PlanStep[] => [
  {action: 'start', cause: 'new'},
  ...afterStart(desired, options, 'first start'),
]

/** Start of a VM that is at rest; all of its steps run again, which is the vmctl book's rule. */
const restart = (desired: Desired, {vm, observation}: Observed, options: PlanOptions): PlanStep[] => [
  {action: 'start', cause: observation.state},
  ...afterStart(desired, options, vm?.phase === 'prepared' ? 'first start' : 'restarted'),
]

const afterStart = (desired: Desired, options: PlanOptions, cause: string): PlanStep[] => {
  if (!options.provision) return []
  if (desired.steps.length > 0) {
    requireLogin(desired.spec)
    return [{action: 'provision', cause, from: 0}]
  }
  return canLogIn(desired.spec) ? [{action: 'wait', cause}] : []
}

/** What an earlier run has not brought to an end, or what has changed since. */
const unfinished = (desired: Desired, {journal}: Observed, options: PlanOptions): PlanStep[] => {
  if (!options.provision) return []
  const remaining = remainingSteps(
    journal,
    desired.steps.map((step) => step.hash),
  )
  if (remaining) {
    requireLogin(desired.spec)
    const title = desired.steps[remaining.from]?.title ?? ''
    return [{action: 'provision', cause: `step ${remaining.from + 1} (${title}): ${remaining.cause}`, from: remaining.from}]
  }
  return !journal.ready && canLogIn(desired.spec) ? [{action: 'wait', cause: 'was never seen ready'}] : []
}

const update = (changes: readonly Change[], isAlive: boolean): PlanStep[] => {
  const applicable = changes.filter(({effect}) => effect === 'now' || (effect === 'restart' && !isAlive))
  return applicable.length > 0 ? [{action: 'update', cause: applicable.map(({text}) => text).join(', ')}] : []
}

const notices = ({spec}: Desired, changes: readonly Change[], isAlive: boolean): string[] =>
  changes.flatMap(({effect, text}) => {
    if (effect === 'reload') return [`changed, needs \`vmctl reload --name ${spec.name}\`: ${text}`]
    if (effect === 'restart' && isAlive) {
      return [`changed, needs a restart (\`vmctl down --name ${spec.name} && vmctl up --name ${spec.name}\`): ${text}`]
    }
    return []
  })

const requireLogin = (spec: VmSpec): void => {
  if (spec.network.type === 'none') {
    throw new VmctlError('vmctl::provision::no_ssh', `${spec.name} has provisioners but no network.`, {
      help: 'Give it `network "user"`, or remove its provision steps.',
    })
  }
  if (!spec.ssh) throw new VmctlError('vmctl::provision::no_ssh', `${spec.name} has provisioners but no ssh block.`)
}

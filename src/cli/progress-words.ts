import type {BootStage, Milestone, VerbEvent} from '../engine/events.ts'
import type {Action, Awaited, VmPlan} from '../engine/plan/vm-plan.ts'
import {formatDuration} from '../model/quantity.ts'

/** What a plan is going to do: `web: will …`. */
export const planned: Readonly<Record<Action, string>> = {
  'fetch-image': 'fetch its image',
  create: 'create',
  recreate: 'recreate',
  update: 'update',
  stop: 'stop',
  start: 'start',
  resume: 'resume',
  load: 'load its memory',
  save: 'save its memory',
  discard: 'give up its saved memory',
  configure: 'set up the guest',
  wait: 'wait for the guest',
  provision: 'run its steps',
  'check-health': 'check its health',
  destroy: 'destroy',
}

export const doing: Readonly<Record<Action, string>> = {
  'fetch-image': 'fetching its image',
  create: 'creating',
  recreate: 'recreating',
  update: 'updating',
  stop: 'stopping',
  start: 'starting',
  resume: 'resuming',
  load: 'loading its memory',
  save: 'saving its memory',
  discard: 'giving up its saved memory',
  configure: 'setting up the guest',
  wait: 'connecting',
  provision: 'preparing its steps',
  'check-health': 'checking health',
  destroy: 'destroying',
}

export const verbs: Readonly<Record<VerbEvent['verb'], string>> = {
  create: 'creating',
  start: 'starting',
  stop: 'stopping',
  restart: 'restarting',
  suspend: 'suspending',
  resume: 'resuming',
  destroy: 'destroying',
  package: 'packaging',
}

/** What is said of an action at its end, with the time it took. What has a wait in it is told by what came after the wait. */
export const done: Readonly<Record<Action, string>> = {
  'fetch-image': 'image fetched in',
  create: 'created in',
  recreate: 'recreated in',
  update: 'updated in',
  stop: 'stopped in',
  start: 'started in',
  resume: 'resumed in',
  load: 'loaded in',
  save: 'saved in',
  discard: 'saved memory given up in',
  configure: 'guest set up in',
  wait: 'ready in',
  provision: 'steps took',
  'check-health': 'healthy after',
  destroy: 'destroyed in',
}

/** What a VM is when its plan has ended with this action. */
const outcomes: Readonly<Record<Action, string>> = {
  'fetch-image': 'image fetched',
  create: 'created',
  recreate: 'recreated',
  update: 'up, updated',
  stop: 'stopped',
  start: 'up',
  resume: 'up',
  load: 'up',
  save: 'saved',
  discard: 'stopped',
  configure: 'up',
  wait: 'up',
  provision: 'up',
  'check-health': 'up, healthy',
  destroy: 'destroyed',
}

export const outcomeOf = (plan: VmPlan | undefined): string => {
  const last = plan?.steps.at(-1)
  return last ? outcomes[last.action] : (plan?.notices[0]?.replace(/^is /, '') ?? 'nothing to do')
}

/** What destroys or interrupts something is said with its cause also where a row shows it. */
export const isTold: ReadonlySet<Action> = new Set(['recreate', 'update', 'stop', 'discard', 'destroy'])

const awaited: Readonly<Record<Awaited['condition'], string>> = {
  started: '',
  ssh: ' to be reachable',
  provisioned: ' to be provisioned',
  healthy: ' to be healthy',
  over: ' to stop',
}

/** `db to be healthy`. */
export const awaitedText = ({vm, condition}: Awaited): string => `${vm}${awaited[condition]}`

/** How far a guest is that is waited for. */
export interface GuestSigns {
  readonly milestone?: Milestone | undefined
  readonly stage?: BootStage | undefined
  /** Whether it boots, as far as anybody knows. */
  readonly isBooting: boolean
  /** The last line of its console. */
  readonly line: string
}

/** What package managers say while they install. */
const installing =
  /^(?:\S+\[\d+\]: )?(?:Get:\d|Fetched \d|Unpacking |Setting up |Preparing to unpack |Selecting previously |Reading package lists|\(\d+\/\d+\) Installing )/

/** Behind the log-in, until cloud-init has finished. */
const withSession: ReadonlySet<Milestone | undefined> = new Set(['authentication', 'boot-id', 'cloud-init'])

export const guestText = (signs: GuestSigns): string => {
  const early = withSession.has(signs.milestone) ? undefined : beforeLogin(signs)
  if (early !== undefined) return early
  if (installing.test(signs.line)) return 'starting services: installing packages (cloud-init)'
  return signs.milestone === 'boot-id' ? 'starting services (cloud-init)' : 'starting services'
}

const beforeLogin = ({milestone, stage, isBooting}: GuestSigns): string | undefined => {
  if (milestone === 'banner' || milestone === 'host-key') return 'logging in'
  // What was there before this vmctl has booted, unless its console says otherwise.
  if (!isBooting && (stage === undefined || stage === 'system')) return 'connecting'
  return stage === 'system' ? undefined : 'booting'
}

/** `booted in 22 s, steps took 10 s`. */
export const timesText = ({bootedMs, stepsMs}: {readonly bootedMs?: number | undefined; readonly stepsMs?: number | undefined}): string =>
  [
    ...(bootedMs === undefined ? [] : [`booted in ${formatDuration(bootedMs)}`]),
    ...(stepsMs === undefined ? [] : [`steps took ${formatDuration(stepsMs)}`]),
  ].join(', ')

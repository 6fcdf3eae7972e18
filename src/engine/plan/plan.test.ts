import {describe, expect, test} from 'vitest'

import {makeSpec, makeVm} from '../../../test/support/builders.ts'
import {type GuestRecord, newGuest} from '../../guest/record.ts'
import {isVmctlError} from '../../model/errors.ts'
import {canLogIn} from '../../model/login.ts'
import type {VmSpec, VmState} from '../../model/vm.ts'
import type {DeclaredStep} from '../../provision/run/declare.ts'
import type {Journal, JournalEntry} from '../../provision/run/journal.ts'
import {planVm} from './plan.ts'
import type {Observed, PlanOptions} from './vm-plan.ts'

const declare = (title: string, hash: string, run: DeclaredStep['run'] = 'always'): DeclaredStep => ({
  type: 'shell',
  title,
  hash,
  run,
  follows: false,
  isChecked: false,
  facts: {[title]: hash},
})

const steps = [declare('inline: echo 1', 'h1'), declare('script: setup.sh', 'h2')]

const entry = (hash: string, state: JournalEntry['state']): JournalEntry => ({hash, state, title: hash, startedAt: ''})
const journal = (...entries: readonly JournalEntry[]): Journal => ({schema: 2, steps: entries})
const readyGuest: GuestRecord = {...newGuest, ready: true}
const allDone = journal(entry('h1', 'done'), entry('h2', 'done'))

const withSteps = makeSpec({ssh: {user: 'vm'}})

/** What is on the host, in words. `vm` is made from the same spec that is wanted. */
const seen = (
  state: VmState,
  change: {journal?: Journal; guest?: GuestRecord; pid?: number; applied?: Partial<VmSpec>; phase?: 'prepared' | 'started'} = {},
): Observed => ({
  vm: makeVm({spec: {...withSteps, ...change.applied}, phase: change.phase ?? 'started'}),
  observation: {state, ...(change.pid !== undefined && {pid: change.pid})},
  journal: change.journal ?? allDone,
  guest: change.guest ?? readyGuest,
  imageIsHere: true,
})

const nothing: Observed = {observation: {state: 'destroyed'}, journal: journal(), imageIsHere: false}

const situations = {
  'does not exist': nothing,
  'does not exist, image is here': {...nothing, imageIsHere: true},
  prepared: seen('prepared', {phase: 'prepared', journal: journal(), guest: newGuest}),
  stopped: seen('stopped'),
  'running, all done': seen('running', {pid: 7}),
  'running, step 2 changed': seen('running', {pid: 7, journal: journal(entry('h1', 'done'), entry('old', 'done'))}),
  'running, step 1 failed': seen('running', {pid: 7, journal: journal(entry('h1', 'failed'))}),
  'running, step 2 cut off': seen('running', {pid: 7, journal: journal(entry('h1', 'done'), entry('h2', 'running'))}),
  'running, step 2 never run': seen('running', {pid: 7, journal: journal(entry('h1', 'done'))}),
  'running, step 2 unknown': seen('running', {pid: 7, journal: journal(entry('h1', 'done'), entry('h2', 'unknown'))}),
  suspended: seen('suspended', {pid: 7}),
  'suspended, step 1 cut off': seen('suspended', {pid: 7, journal: journal(entry('h1', 'running'))}),
  crashed: seen('failed', {pid: 7}),
  'failed to start': seen('failed', {phase: 'prepared', journal: journal(), guest: newGuest}),
} as const

type Situation = keyof typeof situations

const render = (
  observed: Observed,
  options: PlanOptions,
  {spec = withSteps, declared = steps}: {spec?: VmSpec; declared?: readonly DeclaredStep[]} = {},
): string => {
  try {
    const plan = planVm({spec, steps: declared}, observed, options)
    return [...plan.steps.map(({action, cause}) => `${action} (${cause})`), ...plan.notices.map((notice) => `! ${notice}`)].join('\n')
  } catch (error) {
    if (!isVmctlError(error)) throw error
    return `${error.code}: ${error.message}`
  }
}

const verdictsOf = (observed: Observed, options: PlanOptions, declared: readonly DeclaredStep[] = steps): string[] =>
  planVm({spec: withSteps, steps: declared}, observed, options).provision.map(({verdict}) => verdict)

const lines = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n')

/** One verb, every situation. */
const table = (title: string, options: PlanOptions, expected: Record<Situation, string>): void => {
  describe(title, () => {
    test.each(Object.keys(situations) as Situation[])('%s', (situation) => {
      expect(render(situations[situation], options)).toBe(lines(expected[situation]))
    })
  })
}

const restarted = `
  start (stopped)
  provision (restarted)`

table(
  'up',
  {verb: 'up', provision: true},
  {
    'does not exist': `
    fetch-image (not in the cache)
    create (does not exist)
    start (new)
    provision (first start)`,
    'does not exist, image is here': `
    create (does not exist)
    start (new)
    provision (first start)`,
    prepared: `
    start (prepared)
    provision (first start)`,
    stopped: restarted,
    'running, all done': '! is already running',
    'running, step 2 changed': 'provision (step 2 (script: setup.sh): changed)',
    'running, step 1 failed': 'provision (step 1 (inline: echo 1): failed last time; step 2 (script: setup.sh): never run)',
    'running, step 2 cut off': 'provision (step 2 (script: setup.sh): never finished)',
    'running, step 2 never run': 'provision (step 2 (script: setup.sh): never run)',
    'running, step 2 unknown': 'provision (step 2 (script: setup.sh): its outcome is unknown)',
    suspended: 'resume (suspended)',
    'suspended, step 1 cut off': `
    resume (suspended)
    provision (step 1 (inline: echo 1): never finished; step 2 (script: setup.sh): never run)`,
    crashed: `
    stop (the guest has crashed)
    start (failed)
    provision (restarted)`,
    'failed to start': `
    start (failed)
    provision (first start)`,
  },
)

table(
  'up --no-provision',
  {verb: 'up', provision: false},
  {
    'does not exist': `
    fetch-image (not in the cache)
    create (does not exist)
    start (new)`,
    'does not exist, image is here': `
    create (does not exist)
    start (new)`,
    prepared: 'start (prepared)',
    stopped: 'start (stopped)',
    'running, all done': '! is already running',
    'running, step 2 changed': '! is already running',
    'running, step 1 failed': '! is already running',
    'running, step 2 cut off': '! is already running',
    'running, step 2 never run': '! is already running',
    'running, step 2 unknown': '! is already running',
    suspended: 'resume (suspended)',
    'suspended, step 1 cut off': 'resume (suspended)',
    crashed: `
    stop (the guest has crashed)
    start (failed)`,
    'failed to start': 'start (failed)',
  },
)

table(
  'down',
  {verb: 'down', provision: false},
  {
    'does not exist': '! does not exist',
    'does not exist, image is here': '! does not exist',
    prepared: '! is not running',
    stopped: '! is not running',
    'running, all done': 'stop (running)',
    'running, step 2 changed': 'stop (running)',
    'running, step 1 failed': 'stop (running)',
    'running, step 2 cut off': 'stop (running)',
    'running, step 2 never run': 'stop (running)',
    'running, step 2 unknown': 'stop (running)',
    suspended: 'stop (suspended)',
    'suspended, step 1 cut off': 'stop (suspended)',
    crashed: 'stop (failed)',
    'failed to start': '! is not running',
  },
)

table(
  'down --destroy',
  {verb: 'down', provision: false, destroy: true},
  {
    'does not exist': '! does not exist',
    'does not exist, image is here': '! does not exist',
    prepared: 'destroy (--destroy, prepared)',
    stopped: 'destroy (--destroy, stopped)',
    'running, all done': 'destroy (--destroy, running)',
    'running, step 2 changed': 'destroy (--destroy, running)',
    'running, step 1 failed': 'destroy (--destroy, running)',
    'running, step 2 cut off': 'destroy (--destroy, running)',
    'running, step 2 never run': 'destroy (--destroy, running)',
    'running, step 2 unknown': 'destroy (--destroy, running)',
    suspended: 'destroy (--destroy, suspended)',
    'suspended, step 1 cut off': 'destroy (--destroy, suspended)',
    crashed: 'destroy (--destroy, failed)',
    'failed to start': 'destroy (--destroy, failed)',
  },
)

const recreated = (state: string): string => `
  recreate (asked for, ${state})
  start (new)
  provision (first start)`

table(
  'reload',
  {verb: 'reload', provision: true},
  {
    'does not exist': `
    fetch-image (not in the cache)
    create (does not exist)
    start (new)
    provision (first start)`,
    'does not exist, image is here': `
    create (does not exist)
    start (new)
    provision (first start)`,
    prepared: recreated('prepared'),
    stopped: recreated('stopped'),
    'running, all done': recreated('running'),
    'running, step 2 changed': recreated('running'),
    'running, step 1 failed': recreated('running'),
    'running, step 2 cut off': recreated('running'),
    'running, step 2 never run': recreated('running'),
    'running, step 2 unknown': recreated('running'),
    suspended: recreated('suspended'),
    'suspended, step 1 cut off': recreated('suspended'),
    crashed: recreated('failed'),
    'failed to start': recreated('failed'),
  },
)

const refused = (state: string): string => `vmctl::vm::invalid_state: web is ${state}; only a running VM can be provisioned.`

table(
  'provision',
  {verb: 'provision', provision: true},
  {
    'does not exist': refused('not created yet'),
    'does not exist, image is here': refused('not created yet'),
    prepared: refused('prepared'),
    stopped: refused('stopped'),
    'running, all done': 'provision (asked for)',
    'running, step 2 changed': 'provision (asked for)',
    'running, step 1 failed': 'provision (asked for)',
    'running, step 2 cut off': 'provision (asked for)',
    'running, step 2 never run': 'provision (asked for)',
    'running, step 2 unknown': 'provision (asked for)',
    suspended: refused('suspended'),
    'suspended, step 1 cut off': refused('suspended'),
    crashed: refused('failed'),
    'failed to start': refused('failed'),
  },
)

const up: PlanOptions = {verb: 'up', provision: true}

describe('a VM without provision steps', () => {
  const wait = {declared: []}

  test('is waited for when vmctl can log in, and not otherwise', () => {
    expect(render(situations.stopped, up, wait)).toBe('start (stopped)\nwait (restarted)')
    expect(render(situations.prepared, up, {...wait, spec: makeSpec()})).toBe(
      'update (ssh)\nstart (prepared)\n! vmctl cannot log in to it: it has neither a cloud-init nor an ssh block, so nobody gave the guest a user and a key',
    )
    expect(render(seen('running', {pid: 7, journal: journal(), guest: newGuest}), up, wait)).toBe('wait (was never seen ready)')
    expect(render(seen('running', {pid: 7, journal: journal()}), up, wait)).toBe('! is already running')
    expect(render(situations.prepared, {...up, provision: false}, wait)).toBe('start (prepared)')
  })

  test('has nothing to provision', () => {
    expect(render(situations['running, all done'], {verb: 'provision', provision: true}, wait)).toBe('! has no provision steps')
    expect(render(situations.stopped, {verb: 'provision', provision: true}, wait)).toBe('! has no provision steps')
  })
})

describe('which steps', () => {
  const once = declare('inline: mkfs', 'h2', 'once')
  const file = declare('file: a → /a', 'h2', 'on-change')

  test('a restart runs those of the mode always, and only waits when there are none', () => {
    expect(verdictsOf(situations.stopped, up, [declare('inline: echo 1', 'h1'), file])).toEqual(['run', 'skip'])
    const journals = seen('stopped', {journal: journal(entry('h2', 'done'))})
    expect(render(journals, up, {declared: [file]})).toBe('start (stopped)\nwait (restarted)')
  })

  test('after a start by whatever verb, files are looked for; steps that `up` did not start the VM for stay', () => {
    const checked: DeclaredStep = {...declare('file: a → /a', 'h2'), isChecked: true}
    const declared = [declare('inline: echo 1', 'h1'), checked]
    expect(verdictsOf(situations.stopped, up, declared)).toEqual(['run', 'check'])
    const byHand = seen('running', {pid: 7, journal: {...allDone, restarted: true}})
    expect(verdictsOf(byHand, up, declared)).toEqual(['skip', 'check'])
    expect(render(byHand, up, {declared})).toBe('provision (step 2 (file: a → /a): the VM was restarted; runs if its result is gone)')
    expect(render(byHand, up)).toBe('! is already running')
  })

  test('a new disk runs all of them, whatever was done on the old one', () => {
    expect(verdictsOf(situations.stopped, {verb: 'reload', provision: true}, [declare('inline: echo 1', 'h1'), once])).toEqual([
      'run',
      'run',
    ])
  })

  test('a change of one that is done once is a notice', () => {
    const changed = {declared: [declare('inline: echo 1', 'h1'), declare('inline: mkfs -f', 'h3', 'once')]}
    const known = seen('running', {pid: 7, journal: journal(entry('h1', 'done'), entry('h2', 'done'))})
    expect(render(known, up, changed)).toBe(
      '! is already running\n! step 2 (inline: mkfs -f): changed, but it is done once and for all; `vmctl provision --step 2` runs it again',
    )
  })

  test('that are asked for must be there', () => {
    const request = (step: number): PlanOptions => ({verb: 'provision', provision: true, request: {kind: 'from', step}})
    expect(verdictsOf(situations['running, all done'], request(2))).toEqual(['skip', 'rerun'])
    expect(render(situations['running, all done'], request(3))).toBe(
      'vmctl::usage::invalid: web has 2 provision steps; there is no step 3.',
    )
  })

  test('none of a plan that leaves them alone', () => {
    expect(verdictsOf(situations.stopped, {verb: 'up', provision: false})).toEqual([])
    expect(verdictsOf(situations.stopped, {verb: 'down', provision: false})).toEqual([])
  })
})

describe('changes of the VMFile', () => {
  const more = {spec: {...withSteps, memoryMiB: 2048}}

  test('that need a restart are applied to a VM at rest and told of a running one', () => {
    expect(render(situations.stopped, up, more)).toBe(`update (memory 1024 → 2048 MB)\n${lines(restarted)}`)
    expect(render(situations['running, all done'], up, more)).toBe(
      '! is already running\n! changed, needs a restart (`vmctl restart web`): memory 1024 → 2048 MB',
    )
    expect(render(situations.crashed, up, more)).toBe(
      'stop (the guest has crashed)\nupdate (memory 1024 → 2048 MB)\nstart (failed)\nprovision (restarted)',
    )
  })

  test('that need a new VM are told, never applied', () => {
    const other = {spec: {...withSteps, image: {kind: 'file' as const, source: '/images/other.qcow2'}}}
    const told = '! changed, needs `vmctl reload --name web`: image /images/base.qcow2 → /images/other.qcow2'
    expect(render(situations.stopped, up, other)).toBe(`${lines(restarted)}\n${told}`)
    expect(render(situations['running, all done'], up, other)).toBe(`! is already running\n${told}`)
    expect(render(situations['running, all done'], {verb: 'reload', provision: true}, other)).toBe(lines(recreated('running')))
  })

  test('that take effect at once are applied to a running VM, by provision too', () => {
    const renamed = {spec: {...withSteps, ssh: {user: 'other'}}}
    expect(render(situations['running, all done'], up, renamed)).toBe('update (ssh)')
    expect(render(situations['running, all done'], {verb: 'provision', provision: true}, renamed)).toBe(
      'update (ssh)\nprovision (asked for)',
    )
  })
})

describe('logging in', () => {
  test.each([
    ['an ssh block', makeSpec({ssh: {}}), true],
    ['cloud-init that vmctl writes', makeSpec({cloudInit: {hostname: 'web', sshKeys: []}}), true],
    ['cloud-init of the user', makeSpec({cloudInit: {hostname: 'web', sshKeys: [], userData: {path: '/u', sha256: ''}}}), false],
    ['nothing', makeSpec(), false],
    ['an ssh block without a network', makeSpec({ssh: {}, network: {type: 'none'}}), false],
  ])('with %s', (_, spec, expected) => {
    expect(canLogIn(spec)).toBe(expected)
  })

  test('is needed for steps, and its absence is an error before anything is done', () => {
    const bare = makeSpec()
    expect(render(nothing, up, {spec: bare})).toBe(
      'vmctl::provision::no_ssh: web has provisioners, but vmctl cannot log in to it: it has neither a cloud-init nor an ssh block, so nobody gave the guest a user and a key.',
    )
    expect(render(nothing, {...up, provision: false}, {spec: bare})).toContain('start (new)')
    expect(render(nothing, up, {spec: {...withSteps, network: {type: 'none'}}})).toBe(
      'vmctl::provision::no_ssh: web has provisioners but no network.',
    )
    expect(render(situations['running, all done'], {verb: 'down', provision: false}, {spec: bare})).toBe('stop (running)')
  })
})

describe('a run that is left of a step that is no longer declared', () => {
  const left = {...entry('h9', 'running'), title: 'inline: sleep', memory: {}}
  const done = [...allDone.steps, left]
  const notice = '! a run of a step that is no longer declared may be left in the guest, and is ended first (inline: sleep)'
  const running = seen('running', {pid: 7, journal: journal(...done)})

  test('is ended by the next up, although no step is due', () => {
    expect(render(running, up)).toBe(`provision (a step is no longer declared)\n${notice}`)
    expect(render(seen('running', {pid: 7, journal: {...allDone, removed: [left]}}), up)).toContain(notice)
    expect(render(seen('running', {pid: 7, journal: journal(left)}), up, {declared: []})).toContain(notice)
    expect(render(running, {verb: 'up', provision: false})).toBe('! is already running')
    expect(render(seen('stopped', {journal: journal(left)}), up, {declared: []})).toBe(`start (stopped)\nprovision (restarted)\n${notice}`)
  })

  test('is ended by provision, whatever it was asked for', () => {
    const options: PlanOptions = {verb: 'provision', provision: true, request: {kind: 'step', step: 1}}
    expect(render(running, options)).toContain(notice)
    expect(render(seen('running', {pid: 7, journal: journal(left)}), {verb: 'provision', provision: true}, {declared: []})).toContain(
      notice,
    )
  })

  test('is named when nobody can log in to end it', () => {
    expect(render(running, up, {spec: {...withSteps, network: {type: 'none'}}, declared: []})).toContain(notice)
  })

  test('is nothing when the entry has nothing to end, or is that of a step that changed', () => {
    expect(render(seen('running', {pid: 7, journal: journal(...allDone.steps, entry('h9', 'failed'))}), up)).toBe('! is already running')
    expect(render(seen('running', {pid: 7, journal: journal(left)}), up)).not.toContain('no longer declared')
  })
})

describe('what a guest gets of its stack', () => {
  const wanted = {spec: withSteps, steps, setup: {env: 'new', 'names of the stack': 'same'}}
  const having = (setup: Record<string, string>): Observed => seen('running', {pid: 7, guest: {...readyGuest, setup}})
  const planned = (observed: Observed, provision = true) =>
    planVm(wanted, observed, {verb: 'up', provision}).steps.map(({action, cause}) => `${action}: ${cause}`)

  test('is brought to a running guest when it has changed', () => {
    expect(planned(having({env: 'old', 'names of the stack': 'same'}))).toEqual(['configure: env changed'])
    expect(planned(having({env: 'new', 'names of the stack': 'same', volumes: 'gone'}))).toEqual(['configure: volumes changed'])
    expect(planned(having({env: 'new', 'names of the stack': 'same'}))).toEqual([])
  })
  test('waits for a log-in that somebody wants', () => {
    expect(planned(having({env: 'old'}), false)).toEqual([])
  })
})

describe('what others wait for', () => {
  const check = {test: {kind: 'tcp', port: 80}, intervalMs: 1000, timeoutMs: 1000, retries: 3, startPeriodMs: 0} as const
  const plain = makeSpec({ssh: {user: 'vm'}})
  const checked = {...plain, healthcheck: check}
  const planned = (spec: VmSpec, observed: Observed, options: Partial<PlanOptions>): string[] => {
    const made = planVm({spec, steps: []}, observed, {verb: 'up', provision: true, ...options})
    return [...made.steps.map(({action, cause}) => `${action} (${cause})`), ...made.notices.map((notice) => `! ${notice}`)]
  }
  const demands = (...conditions: readonly ('started' | 'ssh' | 'healthy' | 'provisioned')[]): Partial<PlanOptions> => ({
    place: {after: [], demands: conditions.map((condition) => ({by: 'app', condition})), notices: []},
  })
  const running = seen('running', {pid: 7, applied: checked, journal: journal()})
  const runningPlain = seen('running', {pid: 7, applied: plain, journal: journal()})

  test('is checked although nothing else is to be done', () => {
    expect(planned(checked, running, demands('healthy'))).toEqual(['check-health (app waits for it)'])
    expect(planned(checked, running, demands('ssh'))).toEqual(['wait (app waits for it)'])
    expect(planned(plain, runningPlain, demands('provisioned'))).toEqual(['wait (app waits for it)'])
    expect(planned(checked, running, demands('started'))).toEqual(['! is already running'])
    expect(planned(checked, running, {})).toEqual(['! is already running'])
  })
  test('comes after what is to be done anyway, and is not done twice', () => {
    const observed = seen('stopped', {applied: checked, journal: journal()})
    expect(planned(checked, observed, demands('healthy', 'ssh'))).toEqual([
      'start (stopped)',
      'wait (restarted)',
      'check-health (app waits for it)',
    ])
    expect(planned(checked, observed, demands('ssh'))).toEqual(['start (stopped)', 'wait (restarted)'])
    expect(planned(checked, observed, {...demands('ssh'), provision: false})).toEqual(['start (stopped)', 'wait (app waits for it)'])
  })
  test('--wait asks for the health of whoever has a check', () => {
    expect(planned(checked, running, {healthy: true})).toEqual(['check-health (asked for (--wait))'])
    expect(planned(plain, runningPlain, {healthy: true})).toEqual(['! is already running'])
  })
  test('cannot be found out without a log-in', () => {
    const {ssh: _ssh, ...closed} = checked
    const wanted = () => planned(closed, seen('running', {pid: 7, applied: closed, journal: journal()}), demands('healthy'))
    expect(wanted).toThrow('app waits until web is healthy, but vmctl cannot log in to web.')
    expect(() => planned({...checked, network: {type: 'none'}}, nothing, demands('ssh'))).toThrow('cannot log in')
  })
  test('what a VM waits for itself stands at its start, and at its stop', () => {
    const after = [
      {vm: 'db', condition: 'healthy'},
      {vm: 'cache', condition: 'started'},
    ] as const
    const place = {after, demands: [], notices: ['told']}
    expect(planned(plain, seen('stopped', {applied: plain, journal: journal()}), {place})).toEqual([
      'start (stopped; once db is healthy and cache has started)',
      'wait (restarted)',
      '! told',
    ])
    expect(planVm({spec: plain, steps: []}, runningPlain, {verb: 'up', provision: true, place}).after).toEqual(after)
    const before = {after: [{vm: 'web', condition: 'over'} as const], demands: [], notices: []}
    expect(planned(plain, runningPlain, {verb: 'down', place: before})).toEqual(['stop (running; after web, which depends on it)'])
  })
})

test('a guest that is paused for want of room is resumed with the reason', () => {
  const observed = seen('suspended', {pid: 7})
  const paused = {...observed, observation: {...observed.observation, pause: 'the host has no room left'}}
  expect(planVm({spec: withSteps, steps}, paused, {verb: 'up', provision: true}).steps).toEqual([
    {action: 'resume', cause: 'paused: the host has no room left'},
  ])
})

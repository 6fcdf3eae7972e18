import {expect, test} from 'vitest'

import type {RunMode} from '../../model/steps.ts'
import {decideSteps, openSteps, type Request} from './decide.ts'
import {type DeclaredStep, prepareSteps} from './declare.ts'
import type {Journal, JournalEntry} from './journal.ts'
import type {Provisioner} from '../provisioner.ts'

const kind = (type: string, change: Partial<Provisioner> = {}): [string, Provisioner] => [
  type,
  {
    type,
    parse: (settings) => settings,
    describe: (settings) => JSON.stringify(settings),
    facts: async (settings) => settings as Readonly<Record<string, unknown>>,
    run: async () => undefined,
    ...change,
  },
]

const provisioners = new Map([kind('shell'), kind('file', {isIntact: async () => true}), kind('reboot', {follows: true})])

type Written = readonly [type: string, facts: Readonly<Record<string, unknown>>, run?: RunMode]

const prepare = (...steps: readonly Written[]): Promise<readonly DeclaredStep[]> =>
  prepareSteps(
    steps.map(([type, settings, run]) => ({type, settings, ...(run && {run})})),
    provisioners,
    {user: 'dev', directory: '/project'},
  )

const entryOf = (
  {hash, type, title, facts}: DeclaredStep,
  state: JournalEntry['state'] = 'done',
  change: Partial<JournalEntry> = {},
): JournalEntry => ({
  hash,
  type,
  title,
  facts,
  state,
  ...change,
})

const journalOf = (...steps: readonly JournalEntry[]): Journal => ({schema: 2, steps})

const allDone = (steps: readonly DeclaredStep[]): Journal => journalOf(...steps.map((step) => entryOf(step)))

const decide = (journal: Journal, steps: readonly DeclaredStep[], change: {restarted?: boolean; request?: Request} = {}): string[] =>
  decideSteps(journal, steps, {restarted: false, ...change}).map(
    ({verdict, cause, notice}) => `${verdict}: ${cause}${notice === undefined ? '' : ` (${notice})`}`,
  )

const setup = [
  ['shell', {command: 'apt-get update'}],
  ['file', {'/project/conf/nginx.conf': 'h1', mode: 0o644}],
  ['shell', {command: 'mkfs', arguments: []}, 'once'],
  ['shell', {'script /project/setup.sh': 'h2', arguments: ['a'], environment: {A: '1'}}],
] as const satisfies readonly Written[]

test('what was never run runs, what is done stays', async () => {
  const steps = await prepare(...setup)
  expect(decide(journalOf(), steps)).toEqual(Array.from({length: 4}, () => 'run: never run'))
  expect(decide(allDone(steps), steps)).toEqual([
    'skip: done, unchanged',
    'skip: done, unchanged',
    'skip: done once',
    'skip: done, unchanged',
  ])
})

test('after a restart the steps of the mode always run again, and those that can be checked are checked', async () => {
  const steps = await prepare(...setup)
  const check = 'check: the VM was restarted; runs if its result is gone'
  expect(decide(allDone(steps), steps, {restarted: true})).toEqual([
    'run: the VM was restarted',
    check,
    'skip: done once',
    'run: the VM was restarted',
  ])
  const byHand = {...allDone(steps), restarted: true}
  expect(decide(byHand, steps)).toEqual(['skip: done, unchanged', check, 'skip: done once', 'skip: done, unchanged'])
  const [shell, file] = setup
  const quiet = await prepare(file, ['file', {'/project/b': 'h'}, 'on-change'], ['reboot', {}], [...shell, 'once'])
  expect(decide(allDone(quiet), quiet, {restarted: true})).toEqual([
    check,
    'skip: done, unchanged',
    'check: runs if a step before it does',
    'skip: done once',
  ])
})

test.each([
  ['the content of a file', 1, ['file', {'/project/conf/nginx.conf': 'h9', mode: 0o644}], 'conf/nginx.conf changed'],
  ['its mode', 1, ['file', {'/project/conf/nginx.conf': 'h1', mode: 0o600}], 'mode changed'],
  ['a script', 3, ['shell', {'script /project/setup.sh': 'h9', arguments: ['a'], environment: {A: '1'}}], 'script setup.sh changed'],
  ['arguments', 3, ['shell', {'script /project/setup.sh': 'h2', arguments: ['b'], environment: {A: '1'}}], 'arguments changed'],
  ['the environment', 3, ['shell', {'script /project/setup.sh': 'h2', arguments: ['a'], environment: {A: '2'}}], 'environment changed'],
  ['two things', 3, ['shell', {'script /project/setup.sh': 'h2', arguments: ['b'], environment: {}}], 'arguments, environment changed'],
  ['the script by another', 3, ['shell', {command: 'x', arguments: ['a'], environment: {A: '1'}}], 'command changed'],
  ['something taken away', 3, ['shell', {'script /project/setup.sh': 'h2', arguments: ['a']}], 'environment changed'],
] as const)('a change is named: %s', async (_, index, changed, cause) => {
  const before = await prepare(...setup)
  const after = await prepare(...(setup as readonly Written[]).with(index, changed))
  expect(decide(allDone(before), after)[index]).toBe(`run: ${cause}`)
})

test('of a directory the very files are named, and only the first of many', async () => {
  const site = (files: Readonly<Record<string, string>>): Promise<readonly DeclaredStep[]> =>
    prepare([
      'file',
      {'/project/site': 'directory', ...Object.fromEntries(Object.entries(files).map(([name, hash]) => [`/project/site/${name}`, hash]))},
    ])
  const before = allDone(await site({a: '1', b: '1', 'c/d': '1'}))
  expect(decide(before, await site({a: '2', b: '1', 'c/d': '1'}))).toEqual(['run: site/a changed'])
  expect(decide(before, await site({a: '2', e: '1', 'c/d': '1'}))).toEqual(['run: site/a changed, site/e added, site/b removed'])
  const many = Object.fromEntries(Array.from({length: 20}, (_, index) => [`n${10 + index}`, 'x']))
  expect(decide(before, await site({a: '1', b: '1', 'c/d': '1', ...many}))).toEqual(['run: site/n10, site/n11, site/n12 and 17 more added'])
})

test('another user makes other steps; where the project is does not matter', async () => {
  const written = [{type: 'shell', settings: {'script /a/s.sh': 'h'}}]
  const [before] = await prepareSteps(written, provisioners, {user: 'dev', directory: '/a'})
  const moved = await prepareSteps([{type: 'shell', settings: {'script /b/s.sh': 'h'}}], provisioners, {user: 'dev', directory: '/b'})
  const other = await prepareSteps(written, provisioners, {user: 'root', directory: '/a'})
  if (!before) throw new Error('no step')
  expect(decide(allDone([before]), moved)).toEqual(['skip: done, unchanged'])
  expect(decide(allDone([before]), other)).toEqual(['run: user changed'])
})

test('a change runs the steps after it again, but not one that is done once, which a notice tells', async () => {
  const before = await prepare(...setup)
  const first = await prepare(['shell', {command: 'apt-get upgrade'}], ...setup.slice(1))
  expect(decide(allDone(before), first)).toEqual([
    'run: command changed',
    'run: a step before it changed',
    'skip: done once (a step before it changed, but it is done once and for all)',
    'run: a step before it changed',
  ])
  const third = await prepare(...(setup as readonly Written[]).with(2, ['shell', {command: 'mkfs', arguments: ['-f']}, 'once']))
  expect(decide(allDone(before), third)).toEqual([
    'skip: done, unchanged',
    'skip: done, unchanged',
    'skip: done once (arguments changed, but it is done once and for all)',
    'skip: done, unchanged',
  ])
})

test('a step that is put in between does not make a step that is done once another one', async () => {
  const before = await prepare(...setup)
  const after = await prepare(setup[0], ['shell', {command: 'new'}, 'once'], ...setup.slice(1))
  expect(decide(allDone(before), after)).toEqual([
    'skip: done, unchanged',
    'run: never run',
    'skip: done, unchanged',
    'skip: done once',
    'skip: done, unchanged',
  ])
  // And one that is taken away leaves the others what they are, though not what they rest on.
  expect(decide(allDone(before), await prepare(...setup.slice(1)))).toEqual([
    'run: a step before it changed',
    'skip: done once (a step before it changed, but it is done once and for all)',
    'run: a step before it changed',
  ])
})

test('what did not end well is told as what it is', async () => {
  const steps = await prepare(...setup)
  const [one, two, three, four] = steps
  if (!one || !two || !three || !four) throw new Error('no steps')
  const journal = journalOf(
    entryOf(one, 'failed'),
    entryOf(two, 'running', {memory: {}}),
    entryOf(three, 'unknown', {message: 'the guest rebooted while it ran'}),
    entryOf(four, 'pending', {cause: 'the VM was restarted'}),
  )
  for (const restarted of [false, true]) {
    expect(decide(journal, steps, {restarted})).toEqual([
      'run: failed last time',
      'continue: never finished',
      'undecided: the guest rebooted while it ran',
      'run: the VM was restarted',
    ])
  }
  expect(decide(journalOf(entryOf(one, 'interrupted')), [one])).toEqual(['run: interrupted last time'])
  const changed = await prepare(['shell', {command: 'other'}], ...setup.slice(1))
  expect(decide(journal, changed)).toEqual([
    'run: command changed',
    'rerun: a step before it changed',
    'undecided: the guest rebooted while it ran',
    'run: the VM was restarted',
  ])
})

test('what is asked for goes over what is known', async () => {
  const steps = await prepare(...setup)
  const journal = allDone(steps)
  expect(decide(journal, steps, {request: {kind: 'all'}})).toEqual(Array.from({length: 4}, () => 'rerun: asked for'))
  expect(decide(journalOf(), steps, {request: {kind: 'step', step: 2}})).toEqual([
    'skip: not asked for',
    'rerun: asked for (--step 2)',
    'skip: not asked for',
    'skip: not asked for',
  ])
  expect(decide(journal, steps, {request: {kind: 'from', step: 3}})).toEqual([
    'skip: not asked for',
    'skip: not asked for',
    'rerun: asked for (--from 3)',
    'rerun: asked for (--from 3)',
  ])
  const cut = {...journal, steps: journal.steps.with(1, {...journal.steps[1], state: 'unknown'} as JournalEntry).slice(0, 3)}
  expect(decide(cut, steps, {request: {kind: 'rerun', step: 2}})).toEqual([
    'skip: done, unchanged',
    'rerun: asked for (--rerun 2)',
    'skip: done once',
    'run: never run',
  ])
})

test('a reboot runs with what is before it, and no step rests on it', async () => {
  const with2 = await prepare(['shell', {command: 'a'}], ['reboot', {}], ['shell', {command: 'b'}])
  const without = await prepare(['shell', {command: 'a'}], ['shell', {command: 'b'}])
  expect(decide(journalOf(), with2)).toEqual(['run: never run', 'run: never run', 'run: never run'])
  expect(decide(allDone(with2), with2)).toEqual(['skip: done, unchanged', 'skip: no step before it runs', 'skip: done, unchanged'])
  expect(decide(allDone(with2), with2, {restarted: true})[1]).toBe('run: steps before it run')
  expect(decide(allDone(without), with2)).toEqual(['skip: done, unchanged', 'run: never run', 'skip: done, unchanged'])
  expect(decide(allDone(with2), await prepare(['shell', {command: 'a'}], ['reboot', {}], ['shell', {command: 'c'}]))[1]).toBe(
    'skip: no step before it runs',
  )
  expect(
    decide(allDone(await prepare(['reboot', {}], ['shell', {command: 'b'}])), await prepare(['reboot', {}], ['shell', {command: 'b'}]), {
      restarted: true,
    })[0],
  ).toBe('skip: no step before it runs')
})

test('before anything runs, the journal says what is to run; what may be under way is kept until it was ended', async () => {
  const steps = await prepare(...setup)
  const [one, two, three] = steps
  if (!one || !two || !three) throw new Error('no steps')
  const journal = journalOf(entryOf(one), entryOf(two, 'running', {memory: 'job'}), entryOf(three, 'failed'))
  const open = (request?: Request): string[] =>
    openSteps(journal, steps, decideSteps(journal, steps, {restarted: true, ...(request && {request})})).steps.map(
      ({state, cause}) => `${state} ${cause}`,
    )
  expect(open()).toEqual(['pending the VM was restarted', 'running undefined', 'pending failed last time', 'pending never run'])
  expect(open({kind: 'all'})).toEqual(['pending asked for', 'running undefined', 'pending asked for', 'pending asked for'])
  expect(open({kind: 'step', step: 4})).toEqual(['done undefined', 'running undefined', 'failed undefined', 'pending asked for (--step 4)'])
})

import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {expect, test} from 'vitest'

import {makeVm, temporaryDirectory} from '../../../test/support/builders.ts'
import {VmctlError} from '../../model/errors.ts'
import type {Vm} from '../../model/vm.ts'
import {type Journal, noteStart, openJournal, readJournal, writeJournal} from './journal.ts'
import type {Guest, Provisioner, StepContext} from '../provisioner.ts'
import {decideSteps} from './decide.ts'
import {prepareSteps} from './declare.ts'
import {type ProvisionEvent, type RunOptions, runSteps} from './run.ts'

interface FakeSettings {
  readonly text: string
  readonly run: (context: StepContext) => Promise<void>
}

/** A provisioner whose steps are functions of the test. */
const fake: Provisioner<FakeSettings> = {
  type: 'fake',
  parse: (settings) => settings as unknown as FakeSettings,
  describe: ({text}) => `fake: ${text}`,
  facts: async ({text}) => ({text}),
  run: ({run}, context) => run(context),
}

type Run = FakeSettings['run']

const provisioners = new Map([['fake', fake as Provisioner]])

const prepare = (...runs: readonly (readonly [string, Run])[]) =>
  prepareSteps(
    runs.map(([text, run]) => ({type: 'fake', settings: {text, run}})),
    provisioners,
  )

const guest = (): Promise<Guest> => Promise.reject(new Error('this test has no guest'))

const newVm = (): Vm => makeVm({directory: temporaryDirectory()})

const options = (change: Partial<RunOptions> = {}): RunOptions => ({
  guest,
  provisioners,
  onEvent: () => undefined,
  signal: new AbortController().signal,
  ...change,
})

const summary = ({steps}: Journal): string[] => steps.map(({title, state}) => `${title} ${state}`)

const logOf = (vm: Vm): string => readFileSync(join(vm.directory, 'provision.log'), 'utf8')

test('steps run one after the other, and the journal knows of each before and after it', async () => {
  const vm = newVm()
  const seen: string[][] = []
  const look = async () => void seen.push(summary(await readJournal(vm.directory)))
  const steps = await prepare(['one', look], ['two', look], ['three', look])
  await runSteps(vm, steps, options())
  expect(seen).toEqual([
    ['fake: one running', 'fake: two pending', 'fake: three pending'],
    ['fake: one done', 'fake: two running', 'fake: three pending'],
    ['fake: one done', 'fake: two done', 'fake: three running'],
  ])
  const journal = await readJournal(vm.directory)
  expect(summary(journal)).toEqual(['fake: one done', 'fake: two done', 'fake: three done'])
  expect(journal.steps.map(({hash}) => hash)).toEqual(steps.map(({hash}) => hash))
  expect(journal.steps[0]).toMatchObject({
    exitCode: 0,
    startedAt: expect.stringMatching(/^20.*Z$/),
    endedAt: expect.stringMatching(/^20.*Z$/),
    durationMs: expect.any(Number),
  })
})

test('the journal holds on which boot and as whom a step ran, and no value of what it depends on', async () => {
  const vm = newVm()
  const one = {bootId: 'boot-1', exec: () => Promise.reject(new Error('no')), upload: () => Promise.reject(new Error('no'))}
  const steps = await prepareSteps(
    [{type: 'fake', settings: {text: 'hunter2', run: async (context: StepContext) => void (await context.guest())}}],
    new Map([['fake', fake as Provisioner]]),
    {user: 'dev'},
  )
  await runSteps(vm, steps, options({guest: async () => one, user: 'dev'}))
  expect((await readJournal(vm.directory)).steps[0]).toMatchObject({bootId: 'boot-1', user: 'dev', type: 'fake', state: 'done'})
  expect(JSON.stringify((await readJournal(vm.directory)).steps[0]?.facts)).not.toContain('hunter2')
})

test('the first failure stops everything, and says which step, why, and what was printed last', async () => {
  const vm = newVm()
  const fail: Run = async ({output}) => {
    await output('stdout', Buffer.from(Array.from({length: 30}, (_, index) => `line ${index}\n`).join('')))
    await output('stderr', Buffer.from('\u001b[31mno such package\u001b[0m\n'))
    throw new VmctlError('vmctl::provision::failed', 'Step 2 ended with exit code 3.', {exitCode: 3})
  }
  const steps = await prepare(['one', async () => undefined], ['two', fail], ['three', () => Promise.reject(new Error('must not run'))])
  const error = await runSteps(vm, steps, options()).catch((caught: unknown) => caught)
  expect(error).toMatchObject({
    code: 'vmctl::provision::failed',
    message: expect.stringMatching(
      /^web: step 2 \(fake: two\) ended with exit code 3\.\nLast lines:\n {2}line 2[0-9]\n[^]*line 29\n {2}no such package$/,
    ),
    help: expect.stringContaining('vmctl log web --provision'),
    details: {exitCode: 3, vm: 'web', step: 2},
  })
  const journal = await readJournal(vm.directory)
  expect(summary(journal)).toEqual(['fake: one done', 'fake: two failed', 'fake: three pending'])
  expect(journal.steps[1]).toMatchObject({exitCode: 3, message: 'Step 2 ended with exit code 3.'})
  expect(logOf(vm)).toContain('=== Step 2 failed: Step 2 ended with exit code 3. ===')
})

test('a failure of any kind is recorded, and passed on as it is', async () => {
  const vm = newVm()
  const bug = new TypeError('x is not a function')
  await expect(runSteps(vm, await prepare(['one', () => Promise.reject(bug)]), options())).rejects.toBe(bug)
  expect(await readJournal(vm.directory)).toMatchObject({steps: [{state: 'failed', message: 'x is not a function'}]})
})

test('steps that are done are left alone, also when the one before them fails', async () => {
  const vm = newVm()
  const ran: string[] = []
  const steps = await prepare(
    ['one', async () => void ran.push('one')],
    ['two', () => Promise.reject(new Error('no'))],
    ['three', async () => void ran.push('three')],
  )
  const done = (index: number) => ({hash: steps[index]?.hash ?? '', title: `old ${index}`, state: 'done', startedAt: ''}) as const
  await writeJournal(vm.directory, {schema: 2, steps: [done(0), done(1), done(2)]})
  const verdicts = decideSteps(await readJournal(vm.directory), steps, {restarted: false, request: {kind: 'step', step: 2}})
  await expect(runSteps(vm, steps, options({verdicts}))).rejects.toThrow('no')
  expect(ran).toEqual([])
  const journal = await readJournal(vm.directory)
  expect(summary(journal)).toEqual(['old 0 done', 'fake: two failed', 'old 2 done'])
})

test.each(['vmctl::ssh::connection_lost', 'vmctl::ssh::unreachable', 'vmctl::io'] as const)(
  'a step that is left (%s) stays so in the journal, with what it remembered',
  async (code) => {
    const vm = newVm()
    const cut: Run = async ({remember}) => {
      await remember({root: '/var/tmp/x', stdout: 12})
      throw new VmctlError(code, 'gone')
    }
    await expect(runSteps(vm, await prepare(['one', cut]), options())).rejects.toMatchObject({code})
    expect(await readJournal(vm.directory)).toMatchObject({steps: [{state: 'running', memory: {root: '/var/tmp/x', stdout: 12}}]})
    // The next run gets the memory, tells so, and takes it off when it is done.
    const got: unknown[] = []
    const events: ProvisionEvent[] = []
    const again = await prepare(['one', async ({memory}) => void got.push(memory)])
    await runSteps(vm, again, options({onEvent: (event) => void events.push(event)}))
    expect(got).toEqual([{root: '/var/tmp/x', stdout: 12}])
    expect(events[0]).toMatchObject({type: 'provision.step', resumed: true})
    const [entry] = (await readJournal(vm.directory)).steps
    expect(entry).toMatchObject({state: 'done'})
    expect(entry).not.toHaveProperty('memory')
    expect(logOf(vm)).toContain('=== Step 1: fake: one (continued) ===')
  },
)

test('why the guest has restarted under a step is told, kept, and told again', async () => {
  const vm = newVm()
  const restart: Run = async ({remember}) => {
    await remember('a job')
    const message = 'What became of step 1 is unknown: the guest has restarted while it ran.'
    throw new VmctlError('vmctl::provision::unknown_outcome', message, {restarted: true, details: {step: 1}})
  }
  const steps = await prepare(['one', restart])
  const whyRestarted = async (): Promise<string> => 'Kernel panic - not syncing: crash'
  const message = expect.stringContaining('the guest has restarted while it ran. Its console says: Kernel panic - not syncing: crash')
  const details = {vm: 'web', step: 1, restarted: true, reason: 'Kernel panic - not syncing: crash'}
  await expect(runSteps(vm, steps, options({whyRestarted}))).rejects.toMatchObject({message, details})
  await expect(runSteps(vm, steps, options())).rejects.toMatchObject({message})
})

test('an unknown outcome stops every later run until the user decides, who is told how', async () => {
  const vm = newVm()
  const ran: string[] = []
  const vanish: Run = async ({remember}) => {
    await remember('a job')
    throw new VmctlError('vmctl::provision::unknown_outcome', 'What became of step 2 is unknown: the guest rebooted while it ran.')
  }
  const make = (second: Run) =>
    prepare(['one', async () => void ran.push('one')], ['two', second], ['three', async () => void ran.push('three')])
  const expected = {
    code: 'vmctl::provision::unknown_outcome',
    message: expect.stringMatching(/^web: step 2 \(fake: two\): What became of step 2 is unknown: the guest rebooted/),
    help: expect.stringContaining('`vmctl provision --name web --rerun 2`'),
    details: {vm: 'web', step: 2},
  }
  await expect(runSteps(vm, await make(vanish), options())).rejects.toMatchObject(expected)
  const again = await make(async () => void ran.push('two'))
  await expect(runSteps(vm, again, options())).rejects.toMatchObject(expected)
  expect(summary(await readJournal(vm.directory))).toEqual(['fake: one done', 'fake: two unknown', 'fake: three pending'])
  expect(ran).toEqual(['one'])
  const verdicts = decideSteps(await readJournal(vm.directory), again, {restarted: false, request: {kind: 'rerun', step: 2}})
  await runSteps(vm, again, options({verdicts}))
  expect(ran).toEqual(['one', 'two', 'three'])
})

test('what is left of an earlier run is ended before anything else runs, and is told', async () => {
  const vm = newVm()
  const acts: string[] = []
  const cut: Run = async ({remember}) => {
    await remember('a job')
    throw new VmctlError('vmctl::ssh::connection_lost', 'gone')
  }
  const first = await prepare(['one', async () => undefined], ['two', cut])
  await expect(runSteps(vm, first, options())).rejects.toThrow('gone')
  const ending: Provisioner = {...(fake as Provisioner), abandon: async (memory) => void acts.push(`end ${String(memory)}`)}
  const steps = (await prepare(['one', async () => void acts.push('one')], ['two', async () => void acts.push('two')])).map((step) => ({
    ...step,
    provisioner: ending,
  }))
  const verdicts = decideSteps(await readJournal(vm.directory), steps, {restarted: false, request: {kind: 'all'}})
  const told: string[] = []
  await runSteps(vm, steps, options({verdicts, onEvent: ({type}) => void told.push(type)}))
  expect(acts).toEqual(['end a job', 'one', 'two'])
  expect(told[0]).toBe('provision.abandoned')
  expect(logOf(vm)).toContain('=== Step 2: its earlier run was ended ===')
})

test('what is left of a step that is no longer declared is ended before anything runs, once, and told', async () => {
  const vm = newVm()
  const cut: Run = async ({remember}) => {
    await remember('a job')
    throw new VmctlError('vmctl::ssh::connection_lost', 'gone')
  }
  await expect(runSteps(vm, await prepare(['one', async () => undefined], ['two', cut]), options())).rejects.toThrow('gone')
  const acts: unknown[] = []
  const steps = await prepare(['one', async () => void acts.push('one')])
  const none = {...options(), provisioners: new Map()}
  await expect(runSteps(vm, steps, none)).rejects.toMatchObject({code: 'vmctl::plugin::invalid'})
  const lost = new Map([['fake', {...fake, abandon: () => Promise.reject(new Error('no way'))} as Provisioner]])
  await expect(runSteps(vm, steps, {...options(), provisioners: lost})).rejects.toThrow('no way')
  expect((await readJournal(vm.directory)).removed).toMatchObject([{title: 'fake: two', state: 'running', memory: 'a job'}])
  const ending = new Map([['fake', {...fake, abandon: async (memory: unknown) => void acts.push(memory)} as Provisioner]])
  const told: unknown[] = []
  await runSteps(vm, steps, {...options({onEvent: (event) => void told.push(event)}), provisioners: ending})
  expect(acts).toEqual(['a job'])
  expect(told).toEqual([{type: 'provision.abandoned', title: 'fake: two'}])
  expect(logOf(vm)).toContain('=== fake: two: its run was ended, the step is no longer declared ===')
  expect(await readJournal(vm.directory)).not.toHaveProperty('removed')
  await runSteps(vm, steps, {...options(), provisioners: ending})
  expect(acts).toEqual(['a job'])
})

test('what cannot be ended is not run a second time beside it', async () => {
  const vm = newVm()
  const cut: Run = async ({remember}) => {
    await remember('a job')
    throw new VmctlError('vmctl::ssh::connection_lost', 'gone')
  }
  await expect(runSteps(vm, await prepare(['one', cut]), options())).rejects.toThrow('gone')
  const lost = new VmctlError('vmctl::ssh::connection_lost', 'no way')
  const steps = (await prepare(['one', () => Promise.reject(new Error('must not run'))])).map((step) => ({
    ...step,
    provisioner: {...step.provisioner, abandon: () => Promise.reject(lost)},
  }))
  const verdicts = decideSteps(await readJournal(vm.directory), steps, {restarted: false, request: {kind: 'all'}})
  await expect(runSteps(vm, steps, options({verdicts}))).rejects.toBe(lost)
  expect(await readJournal(vm.directory)).toMatchObject({steps: [{state: 'running', memory: 'a job'}]})
})

test('memory of a step that was changed meanwhile, or that has failed, is not handed on', async () => {
  const vm = newVm()
  const cut: Run = async ({remember}) => {
    await remember('secret of the old step')
    throw new VmctlError('vmctl::ssh::connection_lost', 'gone')
  }
  await expect(runSteps(vm, await prepare(['one', cut]), options())).rejects.toThrow('gone')
  const got: unknown[] = []
  const take: Run = async ({memory, remember}) => {
    got.push(memory)
    await remember('new')
    throw new VmctlError('vmctl::provision::failed', 'no')
  }
  await expect(runSteps(vm, await prepare(['other', take]), options())).rejects.toThrow('no')
  await expect(runSteps(vm, await prepare(['other', take]), options())).rejects.toThrow('no')
  expect(got).toEqual([undefined, undefined])
})

test('a cancelled step is recorded as interrupted, and the log says so', async () => {
  const vm = newVm()
  const abort = new AbortController()
  const hang: Run = async ({signal}) => {
    abort.abort(new VmctlError('vmctl::interrupted', 'Interrupted.'))
    await sleep(10_000, undefined, {signal}).catch(() => signal.throwIfAborted())
  }
  await expect(runSteps(vm, await prepare(['one', hang]), options({signal: abort.signal}))).rejects.toMatchObject({
    code: 'vmctl::interrupted',
  })
  expect(summary(await readJournal(vm.directory))).toEqual(['fake: one interrupted'])
  expect(logOf(vm)).toContain('=== Step 1 was interrupted ===')
})

test('output reaches the log and a slow listener in order, and the slow one sets the pace', async () => {
  const vm = newVm()
  const shown: string[] = []
  let ahead = 0
  let most = 0
  const onEvent = async (event: ProvisionEvent): Promise<void> => {
    if (event.type !== 'provision.output') return
    await sleep(1)
    shown.push(`${event.stream} ${Buffer.from(event.chunk).toString()}`)
    ahead--
  }
  const talk: Run = async ({output}) => {
    for (let index = 0; index < 100; index++) {
      most = Math.max(most, ++ahead)
      await output(index % 3 === 0 ? 'stderr' : 'stdout', Buffer.from(`${index}\n`))
    }
  }
  await runSteps(vm, await prepare(['one', talk]), options({onEvent}))
  const numbers = Array.from({length: 100}, (_, index) => index)
  expect(shown).toEqual(numbers.map((index) => `${index % 3 === 0 ? 'stderr' : 'stdout'} ${index}\n`))
  expect(logOf(vm)).toBe(`=== Step 1: fake: one ===\n${numbers.join('\n')}\n`)
  expect(most).toBe(1)
})

test('a listener that fails fails the step', async () => {
  const vm = newVm()
  const steps = await prepare(['one', ({output}) => output('stdout', Buffer.from('x\n'))])
  const onEvent = (event: ProvisionEvent): void => {
    if (event.type === 'provision.output') throw new Error('the terminal is gone')
  }
  await expect(runSteps(vm, steps, options({onEvent}))).rejects.toThrow('the terminal is gone')
  expect(summary(await readJournal(vm.directory))).toEqual(['fake: one failed'])
})

test('what is to be done afterwards is done after the result is on record, whatever it was, and cannot fail the run', async () => {
  const vm = newVm()
  const seen: string[][] = []
  const tidy: Run = async ({afterwards}) => {
    afterwards(async () => void seen.push(summary(await readJournal(vm.directory))))
    afterwards(() => Promise.reject(new Error('does not matter')))
  }
  await runSteps(vm, await prepare(['one', tidy]), options())
  await expect(
    runSteps(vm, await prepare(['two', (context) => tidy(context).then(() => Promise.reject(new Error('no')))]), options()),
  ).rejects.toThrow('no')
  expect(seen).toEqual([['fake: one done'], ['fake: two failed']])
})

test('what the next step sweeps is left to it, unless it fails, and the last one does it', async () => {
  const sweeping = new Map([['fake', {...fake, sweeps: true} as Provisioner]])
  const told: string[] = []
  const step =
    (name: string, isFailing = false): Run =>
    async ({afterwards}) => {
      told.push(name)
      afterwards(async () => void told.push(`tidied ${name}`))
      if (isFailing) throw new Error('no')
    }
  const run = async (...runs: readonly Run[]): Promise<string[]> => {
    const steps = await prepareSteps(
      runs.map((one, index) => ({type: 'fake', settings: {text: `${index}`, run: one}})),
      sweeping,
    )
    told.length = 0
    await runSteps(newVm(), steps, options({provisioners: sweeping})).catch(() => undefined)
    return [...told]
  }
  expect(await run(step('one'), step('two'), step('three'))).toEqual(['one', 'two', 'three', 'tidied three'])
  expect(await run(step('one'), step('two', true))).toEqual(['one', 'two', 'tidied two', 'tidied one'])
})

test('an unknown type of step is an error before anything runs; titles are safe for a terminal', async () => {
  await expect(prepareSteps([{type: 'ansible', settings: {}}], new Map())).rejects.toMatchObject({
    code: 'vmctl::plugin::invalid',
    message: expect.stringContaining('Step 1 has the type "ansible"'),
  })
  const [step] = await prepare(['\u001b]0;title\u0007red\u001b[31m', async () => undefined])
  expect(step?.title).toBe('fake: red')
})

test('a step that is checked runs only when its result is gone, and then what follows it runs too', async () => {
  const vm = newVm()
  const ran: string[] = []
  let isThere = true
  const kinds = new Map<string, Provisioner>([
    ['kept', {...fake, type: 'kept', run: async () => void ran.push('kept'), isIntact: async () => isThere}],
    ['after', {...fake, type: 'after', follows: true, run: async () => void ran.push('after')}],
  ])
  const steps = await prepareSteps(
    [...kinds.keys()].map((type) => ({type, settings: {text: type}})),
    kinds,
  )
  const start = async (): Promise<string[]> => {
    await noteStart(await openJournal(vm.directory))
    await runSteps(vm, steps, options({provisioners: kinds}))
    expect((await readJournal(vm.directory)).restarted).toBeUndefined()
    return ran.splice(0)
  }
  expect(await start()).toEqual(['kept', 'after'])
  expect(await start()).toEqual([])
  isThere = false
  expect(await start()).toEqual(['kept', 'after'])
  // Once the first of them runs, the second is owed, also by a vmctl that comes later.
  await noteStart(await openJournal(vm.directory))
  const abort = new AbortController()
  const onEvent = (event: ProvisionEvent): void => {
    if (event.type === 'provision.done') abort.abort(new Error('killed'))
  }
  const [, second] = steps
  const lost = steps.with(1, {...second, provisioner: {...second?.provisioner, run: () => Promise.reject(new Error('lost'))}} as never)
  await expect(runSteps(vm, lost, options({provisioners: kinds, onEvent, signal: abort.signal}))).rejects.toThrow()
  isThere = true
  ran.splice(0)
  await runSteps(vm, steps, options({provisioners: kinds}))
  expect(ran).toEqual(['after'])
})

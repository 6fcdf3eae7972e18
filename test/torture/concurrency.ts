import {mkdirSync} from 'node:fs'
import {join} from 'node:path'

import {startImageServer} from '../support/image-server.ts'
import {digestOf, makeRawDisk, through} from '../support/images.ts'
import {type Figure, type Row, type TortureOptions, tryAll} from './figure.ts'
import {describe, NoopWorld, type Outcome, QemuWorld, type Running, World, wrongVerdicts} from './world.ts'

const many = 20

const numbers = Array.from({length: many}, (_, index) => index)

interface Result {
  readonly vms?: readonly {readonly state: string; readonly actions: readonly {readonly action: string}[]}[]
  readonly error?: {readonly code: string; readonly message: string}
}

const resultOf = ({stdout}: Outcome): Result => JSON.parse(stdout)

const outcomesOf = (all: readonly Running[]): Promise<Outcome[]> => Promise.all(all.map(({outcome}) => outcome))

const didCreate = (outcome: Outcome): boolean => resultOf(outcome).vms?.[0]?.actions.some(({action}) => action === 'create') === true

const order = async (world: World): Promise<string[]> => [
  ...(await wrongVerdicts(world)),
  ...world.leftovers().map((path) => `left over: ${path}`),
  ...(await world.orphans()),
]

const oneProject = (world: NoopWorld): void => {
  const step = (number: number): string => `provision "shell" { inline "echo ran >>'${world.guestPath(`ran-${number}`)}'; sleep 0.3"; }`
  world.write('VMFile.kdl', `vm "web" { image "disk.qcow2"; ${world.login}; ${step(1)}; ${step(2)}; }`)
}

const afresh = async (world: NoopWorld): Promise<void> => {
  if ((await world.list()).length > 0) await world.ok(['destroy', 'web'])
  for (const number of [1, 2]) world.write(`guest/ran-${number}`, '')
}

const runsOf = async (world: World): Promise<number[]> =>
  Promise.all([1, 2].map(async (number) => (await world.lines(`ran-${number}`)).filter((line) => line === 'ran').length))

/** 20 `up` of one project, who wait for each other. */
const patient = async (_round: number, world: NoopWorld): Promise<string[]> => {
  oneProject(world)
  await afresh(world)
  const outcomes = await outcomesOf(numbers.map(() => world.start(['up', '--json'])))
  const found = outcomes.filter(({exitCode}) => exitCode !== 0).map(describe)
  const creators = outcomes.filter(didCreate).length
  if (creators !== 1) found.push(`${creators} have made the VM`)
  const runs = await runsOf(world)
  if (runs.some((count) => count !== 1)) found.push(`the steps have run ${runs.join(', ')} times`)
  return [...found, ...(await order(world))]
}

/** 20 `up` of one project, who do not wait: one gets it, the others are told who that is. */
const impatient = async (_round: number, world: NoopWorld): Promise<string[]> => {
  oneProject(world)
  await afresh(world)
  const all = numbers.map(() => world.start(['up', '--fail-if-locked', '--json']))
  const outcomes = await outcomesOf(all)
  const owners = new Set(all.flatMap(({pid}, index) => (outcomes[index]?.exitCode === 0 ? [pid] : [])))
  const found: string[] = []
  const creators = outcomes.filter(didCreate).length
  if (creators !== 1) found.push(`${creators} have made the VM`)
  for (const outcome of outcomes.filter(({exitCode}) => exitCode !== 0)) {
    const {error} = resultOf(outcome)
    const owner = Number(/vmctl up web \(process (\d+)\)/.exec(error?.message ?? '')?.[1])
    if (error?.code !== 'vmctl::vm::locked' || !owners.has(owner)) found.push(`refused with ${JSON.stringify(error)}`)
  }
  const runs = await runsOf(world)
  if (runs.some((count) => count !== 1)) found.push(`the steps have run ${runs.join(', ')} times`)
  return [...found, ...(await order(world))]
}

/** Every verb on one VM at once; whatever became of it, one more `up` puts it right. */
const medley = async (_round: number, world: NoopWorld): Promise<string[]> => {
  oneProject(world)
  const words = [['up'], ['down'], ['reload'], ['provision'], ['down', '--destroy'], ['suspend', 'web'], ['resume', 'web']]
  const outcomes = await outcomesOf(numbers.map((number) => world.start([...(words[number % words.length] as string[]), '--json'])))
  const expected = ['vmctl::vm::invalid_state', 'vmctl::vm::not_found']
  const found = outcomes
    .filter((outcome) => outcome.exitCode !== 0 && !expected.includes(resultOf(outcome).error?.code ?? ''))
    .map(describe)
  const up = await world.run(['up'])
  if (up.exitCode !== 0) found.push(describe(up))
  const states = (await world.list()).map(({state}) => state).join()
  if (states !== 'running') found.push(`there is ${states}`)
  return [...found, ...(await order(world))]
}

/** Directories with a VMFile each; the VMs are named by the function. */
const projects = (world: World, text: (number: number) => string): string[] =>
  numbers.map((number) => {
    mkdirSync(join(world.directory, String(number)), {recursive: true})
    return world.write(`${number}/VMFile.kdl`, text(number))
  })

const upAll = (world: World, files: readonly string[]): Promise<Outcome[]> =>
  outcomesOf(files.map((file) => world.start(['up', '--json', '--file', file])))

/** 20 projects, one VM name: one has it, the others are told whose it is. */
const sameName = async (_round: number, world: World): Promise<string[]> => {
  const files = projects(world, () => 'vm "web" { image "../disk.qcow2"; }')
  if ((await world.list()).length > 0) await world.ok(['destroy', 'web'])
  const outcomes = await upAll(world, files)
  const owners = files.filter((_, index) => outcomes[index]?.exitCode === 0)
  const found = owners.length === 1 ? [] : [`${owners.length} have got the name`]
  for (const outcome of outcomes.filter(({exitCode}) => exitCode !== 0)) {
    const {error} = resultOf(outcome)
    if (error?.code !== 'vmctl::vm::owned_elsewhere' || !error.message.includes(owners[0] ?? '?')) found.push(describe(outcome))
  }
  return [...found, ...(await order(world))]
}

/** 20 projects with a VM each: no two get the same of anything. */
const allDifferent = async (_round: number, world: World): Promise<string[]> => {
  const files = projects(world, (number) => `vm "vm-${number}" { image "../disk.qcow2"; memory 64; }`)
  for (const {name} of await world.list()) await world.ok(['destroy', name])
  const outcomes = await upAll(world, files)
  const found = outcomes.filter(({exitCode}) => exitCode !== 0).map(describe)
  const all = await Promise.all((await world.list()).map(({name}) => world.status(name)))
  if (all.length !== many) found.push(`there are ${all.length} VMs`)
  const running = all.filter(({state}) => state === 'running').length
  if (running !== many) found.push(`${running} VMs run`)
  for (const key of world instanceof QemuWorld ? (['id', 'sshPort', 'macAddress', 'pid'] as const) : (['id'] as const)) {
    const values = new Set(all.map((vm) => vm[key]))
    if (values.size !== many || values.has(undefined)) found.push(`${values.size} different values of ${key}`)
  }
  return [...found, ...(await order(world))]
}

const rounds = (count: number): number[] => Array.from({length: count}, (_, index) => index)

const row = async <W extends World>(
  what: string,
  {count, make, signal}: Pick<TortureOptions, 'signal'> & {readonly count: number; readonly make: () => Promise<W>},
  trial: (round: number, world: W) => Promise<string[]>,
): Promise<Row> => {
  const {trials, wrong} = await tryAll(rounds(count), {jobs: 1, bench: make, signal}, trial)
  return {what: `${many} at once: ${what}`, trials: trials * many, wrong}
}

export const concurrency: Figure = {
  id: 'F5',
  async *rows({trials = 100, signal}) {
    const count = Math.max(1, Math.round(trials / many))
    const noop = {count, signal, make: () => NoopWorld.make()}
    const qemu = {count: Math.ceil(count / 3), signal, make: async () => new QemuWorld()}
    yield await row('up of one project: one makes it, the others wait', noop, patient)
    yield await row('up --fail-if-locked of one project: the others name the owner', noop, impatient)
    yield await row('seven commands on one VM, then up', noop, medley)
    yield await row('up of projects that use one name', noop, sameName)
    yield await row('up of as many projects', noop, allDifferent)
    yield await row('up of as many projects, real QEMU', qemu, allDifferent)
  },
}

const pullers = 32
const disk = makeRawDisk(2_000_000)

const pullAtOnce = async (name: string): Promise<string[]> => {
  await using world = new World('pulls', '/tmp', {VMCTL_BACKEND: 'noop'})
  await using server = await startImageServer()
  const isPacked = name.endsWith('.zst')
  const content = isPacked ? through(disk, 'zstd') : disk
  server.files.set(name, {content, delayMs: 200})
  const all = Array.from({length: pullers}, () => world.start(['image', 'pull', '--json', `${server.origin}${name}`]))
  const outcomes = await outcomesOf(all)
  const path = join(world.stateDirectory, 'images', `sha256-${digestOf(content)}${isPacked ? '-disk' : ''}.raw`)
  const found = outcomes.filter(({exitCode, stdout}) => exitCode !== 0 || JSON.parse(stdout).path !== path).map(describe)
  if (server.requests.length !== 1) found.push(`there were ${server.requests.length} requests`)
  return [...found, ...world.leftovers().map((left) => `left over: ${left}`)]
}

const nothing = async (): Promise<AsyncDisposable> => ({[Symbol.asyncDispose]: () => Promise.resolve()})

export const pulls: Figure = {
  id: 'F6',
  async *rows({trials = 4 * pullers, signal}) {
    const names = rounds(Math.max(1, Math.round(trials / pullers))).map((round) => `/${round}.raw${round % 2 === 0 ? '' : '.zst'}`)
    const result = await tryAll(names, {jobs: 1, bench: nothing, signal}, pullAtOnce)
    yield {what: `${pullers} image pull of one URL at once: one download`, trials: result.trials * pullers, wrong: result.wrong}
  },
}

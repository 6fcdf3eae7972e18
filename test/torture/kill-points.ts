import {existsSync, readdirSync, readFileSync, rmSync, statSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {type ImageServer, startImageServer} from '../support/image-server.ts'
import {digestOf, makeRawDisk, through} from '../support/images.ts'
import {makeDisk} from '../support/vmctl-process.ts'
import {type Figure, type Row, spread, type TortureOptions, tryAll} from './figure.ts'
import {describe, NoopWorld, QemuWorld, World, wrongVerdicts} from './world.ts'

/** A command that is killed at every durable act, the command after it, and what has to be true then. */
interface Scenario<W extends World> {
  readonly name: string
  readonly make: () => Promise<W>
  /** What leads up to it. */
  readonly before: (world: W) => Promise<void>
  readonly command: (world: W) => readonly string[]
  readonly again: (world: W) => readonly string[]
  /** What is wrong in the end. */
  readonly problems: (world: W, before: Facts) => Promise<readonly string[]>
}

/** What is known of the VM `web`: no identity when there is none. */
interface Facts {
  readonly id?: string
  readonly disk?: number
  readonly state: string
  /** How often each step has run, on whatever VM. */
  readonly runs: readonly number[]
  /** Steps that are said to be done. */
  readonly done: readonly number[]
}

const steps = [1, 2]

const factsOf = async (world: World): Promise<Facts> => {
  const runs = await Promise.all(steps.map(async (step) => (world instanceof NoopWorld ? (await world.lines(`ran-${step}`)).length : 0)))
  const [summary] = await world.list()
  if (!summary) return {state: 'gone', runs, done: []}
  const {id, state, overlay = '', provision} = await world.status()
  const done = provision.flatMap((entry) => (entry.state === 'done' ? [entry.step] : []))
  return {id, state, runs, done, ...(existsSync(overlay) && {disk: statSync(overlay).ino})}
}

interface Expectation {
  readonly state: string
  /** Whether the VM, and with it its disk, is the one from before. */
  readonly vm: 'same' | 'new' | 'either'
  /** How often each step has run since, given whether the VM is the one from before. */
  readonly runs?: (isSame: boolean) => readonly [least: number, most: number]
}

const expecting =
  ({state, vm, runs}: Expectation) =>
  async (world: World, before: Facts): Promise<string[]> => {
    const after = await factsOf(world)
    const found: string[] = []
    const isSame = after.id === before.id
    if (after.state !== state) found.push(`the VM is ${after.state}, not ${state}`)
    if (vm !== 'either' && isSame !== (vm === 'same')) found.push(`the VM is ${isSame ? 'still the old one' : 'another one'}`)
    if (isSame && after.disk !== before.disk) found.push('the disk is another one')
    const [least, most] = runs?.(isSame) ?? [0, Infinity]
    for (const [index, count] of after.runs.entries()) {
      const more = count - (before.runs[index] ?? 0)
      if (more < least || more > most) found.push(`step ${index + 1} has run ${more} more times, not ${least} to ${most}`)
    }
    return found
  }

const provisioned = (world: NoopWorld): string => {
  const step = (number: number): string =>
    `provision "shell" { inline "echo ran >>'${world.guestPath(`ran-${number}`)}'; echo output ${number}"; }`
  return `vm "web" {
    image "disk.qcow2"
    ${world.isPrivate ? 'cloud-init { hostname "web"; user-data "user-data"; }' : ''}
    ${world.login}
    ${step(1)}
    provision "file" { source "motd"; destination "${world.guestPath('motd')}"; }
    ${step(2)}
  }`
}

const noopScenario = (
  name: string,
  [command, again]: readonly [readonly string[], readonly string[]],
  {before = [], ...expectation}: Expectation & {readonly before?: readonly string[]},
): Scenario<NoopWorld> => ({
  name,
  command: () => command,
  again: () => again,
  make: () => NoopWorld.make(),
  before: async (world) => {
    world.write('motd', 'hello\n')
    world.write('user-data', '#cloud-config\n{}\n')
    world.write('VMFile.kdl', provisioned(world))
    for (const line of before) await world.ok(line.split(' '))
  },
  problems: expecting(expectation),
})

const once = (): readonly [number, number] => [1, 1]
const never = (): readonly [number, number] => [0, 0]
// The old VM may have been stopped, and is started again then.
const onNewDisk = (isSame: boolean): readonly [number, number] => (isSame ? [0, 1] : [1, 1])

const up = ['up']
const down = ['down']
const save = ['down', '--save']
const gone = ['down', '--destroy']
const reload = ['reload']
const provision = ['provision']

/** On the fake backend, with a real SSH server as the guest. */
const noopScenarios: readonly Scenario<NoopWorld>[] = [
  noopScenario('up, new', [up, up], {state: 'running', vm: 'new', runs: once}),
  noopScenario('up, stopped', [up, up], {before: ['up', 'down'], state: 'running', vm: 'same', runs: once}),
  noopScenario('up, suspended', [up, up], {before: ['up', 'suspend web'], state: 'running', vm: 'same', runs: never}),
  noopScenario('down --save, then up', [save, up], {before: ['up'], state: 'running', vm: 'same', runs: never}),
  noopScenario('up, saved', [up, up], {before: ['up', 'down --save'], state: 'running', vm: 'same', runs: never}),
  noopScenario('reload', [reload, reload], {before: ['up'], state: 'running', vm: 'new', runs: () => [1, 2]}),
  noopScenario('reload, then up', [reload, up], {before: ['up'], state: 'running', vm: 'either', runs: onNewDisk}),
  noopScenario('provision', [provision, provision], {before: ['up'], state: 'running', vm: 'same', runs: () => [1, 2]}),
  noopScenario('provision, then up', [provision, up], {before: ['up'], state: 'running', vm: 'same', runs: () => [0, 1]}),
  noopScenario('down', [down, down], {before: ['up'], state: 'stopped', vm: 'same', runs: never}),
  noopScenario('down, then up', [down, up], {before: ['up'], state: 'running', vm: 'same', runs: () => [0, 1]}),
  noopScenario('down --destroy', [gone, gone], {before: ['up'], state: 'gone', vm: 'new', runs: never}),
  noopScenario('down --destroy, then up', [gone, up], {before: ['up'], state: 'running', vm: 'either', runs: () => [0, 1]}),
]

const bare = 'vm "web" { image "disk.qcow2"; memory 64; }'

const qemuScenario = (
  name: string,
  [command, again]: readonly [readonly string[], readonly string[]],
  {
    before = [],
    isFirst = false,
    ...expectation
  }: Expectation & {readonly before?: readonly (readonly string[])[]; readonly isFirst?: boolean},
): Scenario<QemuWorld> => ({
  name: `QEMU: ${name}`,
  command: () => command,
  again: () => again,
  // An accelerator that QEMU refuses at once makes vmctl probe, and soon go on.
  make: async () => new QemuWorld(isFirst ? {VMCTL_ACCEL: 'hvf,tcg'} : {}),
  before: async (world) => {
    world.write('VMFile.kdl', bare)
    if ((await world.list()).length > 0) await world.ok(['destroy', 'web'])
    if (isFirst) rmSync(world.stateDirectory, {recursive: true})
    for (const words of before) await world.ok(words)
  },
  problems: expecting(expectation),
})

const stop = ['stop', 'web', '--timeout', '0']

/** On real QEMU, without an operating system in it. */
const qemuScenarios: readonly Scenario<QemuWorld>[] = [
  qemuScenario('up, the very first', [up, up], {state: 'running', vm: 'new', isFirst: true}),
  qemuScenario('up, new', [up, up], {state: 'running', vm: 'new'}),
  qemuScenario('up, stopped', [up, up], {before: [up, stop], state: 'running', vm: 'same'}),
  qemuScenario('up, suspended', [up, up], {before: [up, ['suspend', 'web']], state: 'running', vm: 'same'}),
  qemuScenario('reload', [reload, reload], {before: [up], state: 'running', vm: 'new'}),
  qemuScenario('reload, then up', [reload, up], {before: [up], state: 'running', vm: 'either'}),
  qemuScenario('stop, then up', [stop, up], {before: [up], state: 'running', vm: 'same'}),
  qemuScenario('suspend, then up', [['suspend', 'web'], up], {before: [up], state: 'running', vm: 'same'}),
  qemuScenario('down --destroy, then up', [gone, up], {before: [up], state: 'running', vm: 'either'}),
]

/** A snapshot is there as a whole or not at all; the VM runs on, on a disk that is whole, and nothing is left over in the end. */
const snapshotProblems = async (world: World): Promise<readonly string[]> => {
  const names = async (): Promise<readonly string[]> =>
    JSON.parse((await world.ok(['snapshot', 'ls', '--json'])).stdout).snapshots.map(({name}: {readonly name: string}) => name)
  for (const name of await names()) await world.ok(['snapshot', 'restore', name, 'web', '--yes'])
  const found: string[] = []
  const [vm] = await world.list()
  if (vm?.state !== 'running') found.push(`the VM is ${vm?.state}, not running`)
  await world.ok(stop)
  for (const name of await names()) await world.ok(['snapshot', 'rm', name, 'web'])
  const directory = join(world.stateDirectory, 'vms', 'web')
  const left = [
    ...readdirSync(directory),
    ...readdirSync(join(directory, 'snapshots')),
    ...readdirSync(join(world.stateDirectory, 'snapshots')),
  ]
  found.push(...left.filter((name) => /@|held|memory|^[0-9a-f]{12}/.test(name)).map((name) => `left over: ${name}`))
  await world.ok(['start', 'web'])
  return found
}

const snapshot = (verb: string, name: string): readonly string[] => [
  'snapshot',
  verb,
  name,
  'web',
  ...(verb === 'restore' ? ['--yes'] : []),
]

/** The command that is killed, what is done after it, and the snapshots that there are before. */
const snapshotVerbs: readonly (readonly [name: string, command: readonly string[], again: readonly string[]])[] = [
  ['snapshot create', snapshot('create', 'new'), snapshot('create', 'other')],
  ['snapshot restore', snapshot('restore', 'old'), snapshot('restore', 'old')],
  ['snapshot rm', snapshot('rm', 'old'), snapshot('create', 'other')],
]

const snapshotScenarios = <W extends NoopWorld | QemuWorld>(
  prefix: string,
  begin: Pick<Scenario<W>, 'make' | 'before'>,
): readonly Scenario<W>[] =>
  snapshotVerbs.map(([name, command, again]) => ({
    name: `${prefix}${name}`,
    make: begin.make,
    before: async (world) => {
      await begin.before(world)
      await world.ok(up)
      // The fake backend has none of its own.
      const disk = join(world.stateDirectory, 'vms', 'web', 'overlay.qcow2')
      if (!existsSync(disk)) makeDisk(disk, '1M')
      await world.ok(snapshot('create', 'old'))
    },
    command: () => command,
    again: () => again,
    problems: snapshotProblems,
  }))

const noopSnapshots = snapshotScenarios<NoopWorld>('', {
  make: () => NoopWorld.make(),
  before: async (world) => {
    world.write('motd', 'hello\n')
    world.write('user-data', '#cloud-config\n{}\n')
    world.write('VMFile.kdl', provisioned(world))
  },
})

const qemuSnapshots = snapshotScenarios<QemuWorld>('QEMU: ', {
  make: async () => new QemuWorld({}),
  before: async (world) => {
    world.write('VMFile.kdl', bare)
    if ((await world.list()).length > 0) await world.ok(['destroy', 'web'])
  },
})

/** Has an image server at its side. */
class PullWorld extends World {
  readonly server: ImageServer

  constructor(server: ImageServer) {
    super('pull', tmpdir(), {VMCTL_BACKEND: 'noop'})
    this.server = server
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]()
    await this.server[Symbol.asyncDispose]()
  }
}

const disk = makeRawDisk(300_000)

const pullScenario = (name: string, path: string, content: Buffer): Scenario<PullWorld> => {
  const pull = ({server}: PullWorld): readonly string[] => ['image', 'pull', `${server.origin}${path}`]
  return {
    name,
    command: pull,
    again: pull,
    make: async () => {
      const world = new PullWorld(await startImageServer())
      world.server.files.set(path, {content})
      return world
    },
    before: async ({stateDirectory}) => rmSync(stateDirectory, {recursive: true, force: true}),
    problems: async (world) => {
      const {images} = JSON.parse((await world.ok(['image', 'list', '--json'])).stdout)
      const found: string[] = images.length === 1 ? [] : [`there are ${images.length} images`]
      for (const image of images) {
        if (image.problem !== undefined) found.push(image.problem)
        else if (digestOf(readFileSync(image.path)) !== digestOf(disk)) found.push('the image has other bytes')
      }
      const left = readdirSync(join(world.stateDirectory, 'images', 'partial'))
      return left.length === 0 ? found : [...found, `left over: ${left.join(', ')}`]
    },
  }
}

const pullScenarios: readonly Scenario<PullWorld>[] = [
  pullScenario('image pull', '/disk.raw', disk),
  pullScenario('image pull, compressed', '/disk.raw.zst', through(disk, 'zstd')),
]

/** Brings a world to where the command begins; the fake backend's is kept for the next trial. */
const prepare = async <W extends World>(world: W, scenario: Scenario<W>): Promise<void> => {
  if (!(world instanceof NoopWorld)) return scenario.before(world)
  if (world.isSaved) return world.restore()
  await scenario.before(world)
  world.save()
}

/** What the command does, act by act: `12 after rename …`. */
const actsOf = async <W extends World>(scenario: Scenario<W>): Promise<string[]> => {
  await using world = await scenario.make()
  await prepare(world, scenario)
  const acts = join(world.directory, 'acts')
  await world.ok(scenario.command(world), {env: {VMCTL_ACTS: acts}})
  return readFileSync(acts, 'utf8').trim().split('\n')
}

const killAt = async <W extends World>(
  scenario: Scenario<W>,
  act: string,
  {world, onKill}: {world: W; onKill: () => void},
): Promise<string[]> => {
  const found: string[] = []
  await prepare(world, scenario)
  const before = await factsOf(world)
  const killed = await world.run(scenario.command(world), {env: {VMCTL_KILL_AT: act.split(' ')[0]}})
  // A port that another VM just took makes more acts; without that the last ones are not reached.
  if (killed.signal === 'SIGKILL') onKill()
  else if (killed.exitCode !== 0) found.push(describe(killed))
  // A QEMU that was begun in this moment says who it is only when it has made its pid file.
  if (world instanceof QemuWorld) await sleep(300)
  found.push(...(await wrongVerdicts(world)))
  const again = await world.run(scenario.again(world))
  if (again.exitCode !== 0) found.push(describe(again))
  else found.push(...(await scenario.problems(world, before)), ...(await wrongVerdicts(world)))
  found.push(...world.leftovers().map((path) => `left over: ${path}`), ...(await world.orphans()))
  return found.length === 0 ? [] : [`killed at ${act.replaceAll(world.directory, '')}: ${found.join('; ')}`]
}

const rowOf = async <W extends World>(scenario: Scenario<W>, {trials, ...options}: TortureOptions): Promise<Row> => {
  const acts = spread(await actsOf(scenario), trials)
  let kills = 0
  const result = await tryAll(acts, {...options, bench: scenario.make}, (act, world) =>
    killAt(scenario, act, {world, onKill: () => (kills += 1)}),
  )
  const missed = kills < 0.8 * result.trials ? [`only ${kills} of ${result.trials} were killed`] : []
  return {what: `killed at every durable act: ${scenario.name}`, trials: kills, wrong: [...result.wrong, ...missed]}
}

export const killPoints: Figure = {
  id: 'F1',
  async *rows(options) {
    for (const scenario of [...noopScenarios, ...noopSnapshots]) yield await rowOf(scenario, options)
    for (const scenario of pullScenarios) yield await rowOf(scenario, options)
    for (const scenario of [...qemuScenarios, ...qemuSnapshots]) yield await rowOf(scenario, options)
  },
}

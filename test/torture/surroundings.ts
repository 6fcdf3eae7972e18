import {lstatSync, readdirSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {startImageServer} from '../support/image-server.ts'
import {makeRawDisk, through} from '../support/images.ts'
import {type Figure, spread, tryAll} from './figure.ts'
import {microImage} from './micro-image.ts'
import {describe, NoopWorld, QemuWorld, type RunOptions, type World, wrongVerdicts} from './world.ts'

const preload = resolve(import.meta.dirname, 'clock.ts')

/** What is not vmctl's business and must have no effect. */
interface Surroundings {
  readonly name: string
  /** For the n-th command of a story. */
  readonly options: (command: number) => RunOptions
}

const clock = (name: string, days: (command: number) => string): Surroundings => ({
  name: `clock ${name}`,
  options: (command) => ({node: ['--no-warnings', '--import', preload], env: {VMCTL_TEST_CLOCK: days(command)}}),
})

const locale = (variables: Readonly<Record<string, string>>): Surroundings => ({
  name: Object.entries(variables)
    .map(([variable, value]) => `${variable}=${value}`)
    .join(' '),
  options: () => ({env: variables}),
})

const umask = (mask: string): Surroundings => ({
  name: `umask ${mask}`,
  options: () => ({prefix: ['sh', '-c', `umask ${mask}; exec "$@"`, 'sh']}),
})

const clocks = [
  clock('a day ahead', () => '1'),
  clock('a day behind', () => '-1'),
  clock('set ahead and behind between commands', (command) => (command % 2 === 0 ? '1' : '-1')),
  clock('set ahead and behind all the time', () => 'jumping'),
]

const umasks = [umask('000'), umask('077')]

const all: readonly Surroundings[] = [
  ...clocks,
  ...['C', 'C.UTF-8', 'de_DE.UTF-8', 'tr_TR.UTF-8', 'ja_JP.eucJP', 'ar_EG.UTF-8', 'nonsense'].map((name) =>
    locale({LC_ALL: name, LANGUAGE: name, LANG: name}),
  ),
  ...['Pacific/Apia', 'Asia/Kathmandu', 'nonsense'].map((TZ) => locale({TZ})),
  ...umasks,
]

const plain: Surroundings = {name: 'nothing special', options: () => ({})}

/** Files and directories of the state directory that others may read. */
const open = (world: World): string[] =>
  readdirSync(world.stateDirectory, {recursive: true, encoding: 'utf8'}).flatMap((path) => {
    const {mode} = lstatSync(join(world.stateDirectory, path))
    return (mode & 0o077) === 0 ? [] : [`${path} has the mode ${(mode & 0o777).toString(8)}`]
  })

/** Everything once, and what came of it, without times. */
const story = async (surroundings: Surroundings): Promise<{told: string[]; found: string[]}> => {
  await using world = await NoopWorld.make()
  await using server = await startImageServer()
  server.files.set('/disk.raw.zst', {content: through(makeRawDisk(100_000), 'zstd')})
  const write = (text: string): void => {
    const step = (number: number): string =>
      `provision "shell" { inline "echo ${text} >>'${world.guestPath(`ran-${number}`)}'; echo ${text}"; }`
    world.write(
      'VMFile.kdl',
      `vm "web" { image "disk.qcow2"; ${world.login}; ${step(1)}; provision "file" { source "motd"; destination "${world.guestPath('motd')}"; }; ${step(2)}; }`,
    )
  }
  world.write('motd', 'hello\n')
  write('one')
  const url = `${server.origin}/disk.raw.zst`
  const told: string[] = []
  const found: string[] = []
  const commands: readonly (readonly string[])[] = [
    ['validate'],
    ['up'],
    ['up'],
    ['why', 'web'],
    ['provision', '--step', '3'],
    ['suspend', 'web'],
    ['up'],
    ['down'],
    ['up'],
    ['reload'],
    ['image', 'pull', url],
    ['image', 'pull', url],
    ['down', '--destroy'],
  ]
  for (const [index, words] of commands.entries()) {
    const outcome = await world.run([...words, '--json'], surroundings.options(index))
    if (outcome.exitCode !== 0) found.push(describe(outcome))
    told.push(withoutTimes(`${words.join(' ')}: ${outcome.stdout}`, world))
    // Progress stands there; what Node or an error would say does not belong.
    if (/\(node:\d+\)|warning|error/i.test(outcome.stderr)) found.push(`${words.join(' ')} says ${outcome.stderr}`)
  }
  for (const number of [1, 2]) told.push(`step ${number}: ${(await world.lines(`ran-${number}`)).join()}`)
  const requests = server.requests.length
  if (requests !== 1) found.push(`${requests} downloads`)
  return {told, found: [...found, ...open(world), ...world.leftovers(), ...(await world.orphans())]}
}

/** Durations are checked for sense, and else left out, as are names that differ with every run. */
const withoutTimes = (text: string, world: World): string =>
  text
    .replaceAll(/"(?:durationMs|startMs|offsetMs|at|startedAt|endedAt|createdAt)": ?("[^"]*"|-?[\d.]+)/g, (_all, value: string) =>
      value.startsWith('"') || (Number(value) >= 0 && Number(value) < 600_000) ? '"time": 0' : `"nonsense": ${value}`,
    )
    .replaceAll(world.directory, 'DIR')
    .replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'UUID')

const differences = async (surroundings: Surroundings, expected: readonly string[]): Promise<string[]> => {
  const {told, found} = await story(surroundings)
  const different = told.filter((line, index) => line !== expected[index])
  const problems = [...found, ...different.map((line) => `other than usual: ${line}`)]
  return problems.length === 0 ? [] : [`${surroundings.name}: ${problems.join('; ')}`]
}

/** A guest with an operating system keeps what it wrote last, because it is never killed where it is asked to power off. */
const powerOff = async (surroundings: Surroundings): Promise<string[]> => {
  await using world = new QemuWorld()
  world.write('VMFile.kdl', `vm "web" { image "${microImage()}"; memory 192; cloud-init { hostname "web"; }; ssh { user "dev"; }; }`)
  await world.ok(['up'], surroundings.options(0))
  const found = open(world)
  // In the guest's memory for the next seconds, and on its disk only if it shuts down.
  await world.ok(['ssh', 'web', '--', 'echo kept >kept'])
  await world.ok(['down'], surroundings.options(1))
  await world.ok(['up'], surroundings.options(2))
  const kept = (await world.lines('kept')).join()
  if (kept !== 'kept') found.push('the guest was killed and not powered off')
  found.push(...(await wrongVerdicts(world)), ...open(world), ...world.leftovers())
  return found.length === 0 ? [] : [`${surroundings.name}: ${found.join('; ')}`]
}

const nothing = async (): Promise<AsyncDisposable> => ({[Symbol.asyncDispose]: () => Promise.resolve()})

export const surroundings: Figure = {
  id: 'F12',
  async *rows({trials, ...options}) {
    const {told, found} = await story(plain)
    const chosen = spread(all, trials)
    const result = await tryAll(chosen, {...options, bench: nothing}, (one) => differences(one, told))
    const wrong = [...found, ...result.wrong]
    yield {what: 'clock, locale, time zone, umask: a story of 13 commands is the same', trials: result.trials + 1, wrong}
    const guests = spread([...clocks.slice(-1), ...umasks], trials)
    const what = 'clock, umask: a real guest is powered off, not killed; files are private'
    yield {what, ...(await tryAll(guests, {...options, bench: nothing}, powerOff))}
  },
}

import {setTimeout as sleep} from 'node:timers/promises'

import {type Figure, randomFrom, tryAll} from './figure.ts'
import {describe, NoopWorld, type Outcome, wrongVerdicts} from './world.ts'

interface Command {
  readonly words: readonly string[]
  /** What it may do to the steps: run them again at once, or leave a VM for which the next `up` does. */
  readonly steps?: 'runs' | 'due'
  /** Whether it works in the guest, which the other one may take away. */
  readonly isGuest?: true
}

const commands: readonly Command[] = [
  {words: ['up']},
  {words: ['plan']},
  {words: ['provision'], steps: 'runs'},
  {words: ['reload'], steps: 'runs'},
  {words: ['restart']},
  {words: ['start', 'web']},
  {words: ['stop', 'web'], steps: 'due'},
  {words: ['down'], steps: 'due'},
  {words: ['down', '--destroy'], steps: 'due'},
  {words: ['destroy', 'web'], steps: 'due'},
  {words: ['suspend', 'web']},
  {words: ['resume', 'web']},
  {words: ['exec', 'web', 'sleep', '0.3'], isGuest: true},
  {words: ['exec', '--all', '--', 'sleep', '0.3'], isGuest: true},
  {words: ['ssh', 'web', '--', 'sleep 0.3'], isGuest: true},
  {words: ['cp', 'disk.qcow2', 'web:copied'], isGuest: true},
  {words: ['status', 'web']},
  {words: ['list']},
  {words: ['ps']},
]

type Pair = readonly [first: Command, second: Command, delayMs: number]

/** All pairs in both orders, the second one later by up to a second and a half, in an order of their own. */
const pairsFrom = (seed: number): Pair[] => {
  const random = randomFrom(seed)
  return commands
    .flatMap((first) => commands.map((second): Pair => [first, second, Math.floor(random() * 1500)]))
    .map((pair) => ({pair, key: random()}))
    .toSorted((left, right) => left.key - right.key)
    .map(({pair}) => pair)
}

/** Codes by which one command may say that the other one was first. */
const told = ['vmctl::vm::invalid_state', 'vmctl::vm::not_found']

const isRight = ({words, exitCode: status, stderr}: Outcome, isGuest: boolean): boolean => {
  if (status === 0) return true
  // 255: the connection to a guest that was stopped, as ssh says it.
  if (isGuest && (status === 255 || stderr.includes(': The VM ended while vmctl waited for it'))) return true
  return status !== null && told.some((code) => stderr.includes(`[${code}]`)) && !words.includes('plan')
}

const trial = async ([first, second, delayMs]: Pair, world: NoopWorld): Promise<string[]> => {
  const step = (number: number): string => `provision "shell" { inline "echo ran >>'${world.guestPath(`ran-${number}`)}'; sleep 0.2"; }`
  world.write('VMFile.kdl', `vm "web" { image "disk.qcow2"; ${world.login}; ${step(1)}; ${step(2)}; }`)
  await world.ok(['up'])
  for (const number of [1, 2]) world.write(`guest/ran-${number}`, '')
  const earlier = world.start(first.words, {timeoutMs: 60_000})
  await sleep(delayMs)
  const later = world.start(second.words, {timeoutMs: 60_000})
  const outcomes = [await earlier.outcome, await later.outcome]
  const found = outcomes.filter((outcome, index) => !isRight(outcome, [first, second][index]?.isGuest === true)).map(describe)
  await world.ok(['up'])
  const states = (await world.list()).map(({state}) => state).join()
  if (states !== 'running') found.push(`after up there is ${states}`)
  const runs = await Promise.all([1, 2].map(async (number) => (await world.lines(`ran-${number}`)).filter((line) => line === 'ran').length))
  const own = [first, second].filter(({steps}) => steps === 'runs').length
  const due = [first, second].some(({steps}) => steps === 'due') ? 1 : 0
  const [one = 0, two = 0] = runs
  if (one !== two || one > own + due || one < own + due - 1) found.push(`the steps have run ${runs.join(' and ')} times`)
  found.push(...(await wrongVerdicts(world)), ...world.leftovers().map((path) => `left over: ${path}`))
  const both = `${first.words.join(' ')}, after ${delayMs} ms ${second.words.join(' ')}`
  return found.length === 0 ? [] : [`${both}: ${found.join('; ')}`]
}

/** Two commands at once on one VM: each does what it was asked for, or says why not, and no step runs that nobody asked for. */
export const pairs: Figure = {
  id: 'PAIRS',
  async *rows({trials, seed, ...options}) {
    const result = await tryAll(pairsFrom(seed).slice(0, trials), {...options, bench: () => NoopWorld.make()}, trial)
    yield {what: 'two commands on one VM, the second up to 1.5 s later, then up', ...result}
  },
}

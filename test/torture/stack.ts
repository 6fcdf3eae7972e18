import {existsSync, readFileSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {isAlive} from '../support/vm-processes.ts'
import {type Figure, randomFrom, type Row, spread, type TortureOptions, tryAll} from './figure.ts'
import {stackMissing, StackWorld} from './stack-world.ts'
import {describe, settled} from './world.ts'

/** When a command is killed: at one of its durable acts, or so long after it began. */
type Moment = {readonly act: number} | {readonly ms: number}

const up = ['up']
const down = ['down']
const gone = ['down', '--destroy', '--volumes']

const makeWorld = (): Promise<StackWorld> => Promise.resolve(new StackWorld())

const tell = (words: readonly string[], moment: Moment): string =>
  `${words.join(' ')} killed ${'act' in moment ? `at act ${moment.act}` : `after ${Math.round(moment.ms)} ms`}`

/** Which programs that outlive it a command has started, by their acts. */
const startedIn = (acts: string): Readonly<Record<'qemus' | 'hubs' | 'dnsmasqs' | 'virtiofsds', number>> => {
  const count = (pattern: RegExp): number => acts.split('\n').filter((line) => pattern.test(line)).length
  return {
    qemus: count(/ after start \S*qemu-system/),
    hubs: count(/ after start \S*node$/),
    dnsmasqs: count(/ after start dnsmasq$/),
    virtiofsds: count(/ after start \S*virtiofsd$/),
  }
}

/**
 * Kills a command and tells what is wrong then: with what the readers say, and with what had been started, since whatever outlives
 * vmctl outlives its death too.
 */
const kill = async (
  world: StackWorld,
  words: readonly string[],
  {moment, onKill}: {moment: Moment; onKill: () => void},
): Promise<string[]> => {
  const acts = join(world.directory, 'acts')
  rmSync(acts, {force: true})
  const env = {VMCTL_ACTS: acts, ...('act' in moment && {VMCTL_KILL_AT: String(moment.act)})}
  const running = world.start(words, {env})
  if ('ms' in moment) {
    await Promise.race([sleep(moment.ms), running.outcome])
    running.kill()
  }
  const outcome = await running.outcome
  if (outcome.signal === 'SIGKILL') onKill()
  else if (outcome.exitCode !== 0) return [describe(outcome)]
  const found: string[] = []
  if (words === up) {
    const carriers = world.carriers()
    for (const [kind, count] of Object.entries(startedIn(existsSync(acts) ? readFileSync(acts, 'utf8') : ''))) {
      const {length} = carriers[kind as keyof ReturnType<typeof startedIn>]
      if (length < count) found.push(`${count} ${kind} were started, and ${length} live on`)
    }
  }
  return [...found, ...(await world.untruths())].map((problem) => `at once: ${problem}`)
}

/** Runs a command to its end. */
const finish = async (world: StackWorld, words: readonly string[], inspect: () => Promise<readonly string[]>): Promise<string[]> => {
  const outcome = await world.run(words)
  return outcome.exitCode === 0 ? [...(await inspect())] : [describe(outcome)]
}

/** `up` over what a killed command has left: no VM that runs is started anew. */
const finishUp = (world: StackWorld, {once}: {readonly once: boolean}): Promise<string[]> => {
  const {qemus} = world.carriers()
  return finish(world, up, async () => {
    const after = world.carriers().qemus
    const lost = qemus.filter((pid) => !after.includes(pid))
    return [...lost.map((pid) => `up has ended QEMU ${pid}`), ...(await world.faults({once}))]
  })
}

const named = (what: string, problems: readonly string[]): string[] => (problems.length === 0 ? [] : [`${what}: ${problems.join('; ')}`])

/** How many durable acts, and how many milliseconds, a command takes that nobody kills. */
interface Course {
  readonly acts: number
  readonly ms: number
}

/** Runs commands to their end, on a stack that works and leaves nothing: what is killed later is measured by that. */
const measure = async (...commands: readonly (readonly string[])[]): Promise<Course[]> => {
  await using world = new StackWorld()
  const faults: string[] = []
  const courses: Course[] = []
  for (const words of commands) {
    const acts = join(world.directory, 'acts')
    rmSync(acts, {force: true})
    const {durationMs} = await world.ok(words, {env: {VMCTL_ACTS: acts}})
    courses.push({acts: readFileSync(acts, 'utf8').trim().split('\n').length, ms: durationMs})
    if (words === up) faults.push(...(await world.faults({once: true})))
    if (words === gone) faults.push(...(await world.remains()))
  }
  if (faults.length > 0) throw new Error(`without a kill: ${faults.join('; ')}`)
  return courses
}

const nothing: Course = {acts: 0, ms: 0}

const points = ({acts}: Course, count: number): Moment[] =>
  spread(
    Array.from({length: acts}, (_, index) => index + 1),
    count,
  ).map((act) => ({act}))

interface Story {
  readonly what: string
  readonly moments: readonly (readonly Moment[])[]
  readonly trial: (world: StackWorld, moments: readonly Moment[], onKill: () => void) => Promise<string[]>
}

const rowOf = async ({what, moments, trial}: Story, options: TortureOptions): Promise<Row> => {
  let kills = 0
  const planned = moments.flat().length
  const result = await tryAll(moments, {...options, bench: makeWorld}, (own, world) => trial(world, own, () => (kills += 1)))
  // The last acts are not always reached: how often a health check is made depends on the guest.
  const isWhole = result.trials === moments.length && result.wrong.length === 0
  const missed = isWhole && kills < 0.8 * planned ? [`only ${kills} of ${planned} were killed`] : []
  return {what: `stack: ${what}`, trials: kills, wrong: [...result.wrong, ...missed]}
}

/** `up` is killed and run again, then `down --destroy --volumes` is. */
const upAndAway: Story['trial'] = async (world, [first = {act: 0}, second = {act: 0}], onKill) => {
  world.forget()
  const found = [...(await kill(world, up, {moment: first, onKill})), ...(await finishUp(world, {once: true}))]
  if (found.length > 0) return named(tell(up, first), found)
  found.push(...(await kill(world, gone, {moment: second, onKill})))
  return named(tell(gone, second), [...found, ...(await finish(world, gone, () => world.remains()))])
}

/** `up` is killed, and `down --destroy --volumes` follows instead of another `up`. */
const upAndDown: Story['trial'] = async (world, [moment = {act: 0}], onKill) => {
  const found = await kill(world, up, {moment, onKill})
  return named(`${tell(up, moment)}, then down`, [...found, ...(await finish(world, gone, () => world.remains()))])
}

const ensureUp = async (world: StackWorld): Promise<void> => {
  if (world.isUp) return
  await world.ok(up)
  world.isUp = true
}

/** `down` of a stack that works is killed, and `up` follows. */
const downAndUp: Story['trial'] = async (world, [moment = {act: 0}], onKill) => {
  await ensureUp(world)
  const kept = await world.kept()
  const found = await kill(world, down, {moment, onKill})
  // What `down` has told to stop may still be stopping.
  found.push(...(await finish(world, up, () => world.faults({once: false}))))
  if (found.length === 0 && (await world.kept()) !== kept) found.push('the volume is another one')
  return named(tell(down, moment), found)
}

/** What carries a stack besides its QEMUs, and how `status` calls it. */
const carriers = {
  hubs: 'the hub of its network shop.back',
  dnsmasqs: 'the dnsmasq of its network shop.front',
  virtiofsds: 'its virtiofsd for ',
}

/** A program that carries the stack dies: the readers tell, the VMs live on, and `up` brings it back or says how it comes back. */
const withoutCarrier = async (world: StackWorld, kind: keyof typeof carriers): Promise<string[]> => {
  await ensureUp(world)
  const {qemus, [kind]: all} = world.carriers()
  const {pid: db = 0} = await world.status('shop.db')
  // With the processes that it has started: each has a session of its own.
  for (const pid of all) process.kill(-pid, 'SIGKILL')
  await settled(() => all.filter(isAlive).map((pid) => `process ${pid}`))
  const found: string[] = []
  // `ps` comes last: it asks the guest that has a health check, and so brings back what it can.
  for (const words of [['status', 'shop.web'], ['ps']]) {
    const {exitCode, stdout, stderr} = await world.run(words)
    if (exitCode !== 0 || !`${stdout}${stderr}`.includes(carriers[kind]))
      found.push(`${words.join(' ')} says nothing of it: ${stdout}${stderr}`)
  }
  const again = await world.run(up)
  if (again.exitCode !== 0) return [...found, describe(again)]
  if (world.carriers().qemus.join() !== qemus.join()) found.push('a QEMU is another one')
  if (kind === 'virtiofsds') {
    if (!`${again.stdout}${again.stderr}`.includes('vmctl restart shop.web')) found.push(`up does not say what to do: ${describe(again)}`)
    await world.ok(['restart', 'shop.web'])
    if (!world.carriers().qemus.includes(db)) found.push('the restart of one VM has ended the other')
  }
  return named(`${kind} killed`, [...found, ...(await world.faults({once: false}))])
}

export const stack: Figure = {
  id: 'STACK',
  async *rows(options) {
    if (stackMissing() !== undefined) return
    const {trials} = options
    const random = randomFrom(options.seed)
    const [whole = nothing, end = nothing] = await measure(up, gone)
    const ups = points(whole, trials ?? 60)
    const gones = points(end, ups.length)
    yield await rowOf(
      {
        what: '`up` killed at an act, `up`; `down --destroy` killed at an act, again',
        // In no order, so that not every early kill of the one goes with an early kill of the other.
        moments: ups.map((moment, index) => [moment, gones[(index * 7) % gones.length] ?? moment]),
        trial: upAndAway,
      },
      options,
    )
    yield await rowOf(
      {
        what: '`up` killed at an act, then `down --destroy`',
        moments: points(whole, trials ?? 30).map((moment) => [moment]),
        trial: upAndDown,
      },
      options,
    )
    const anywhere = ({ms}: Course): Moment => ({ms: random() * ms})
    yield await rowOf(
      {
        what: 'the same as the first at random times',
        moments: Array.from({length: Math.ceil((trials ?? 60) / 6)}, () => [anywhere(whole), anywhere(end)]),
        trial: upAndAway,
      },
      options,
    )
    const [, stop = nothing] = await measure(up, down)
    yield await rowOf(
      {
        what: '`down` killed at an act, then `up`',
        moments: points(stop, Math.ceil((trials ?? 60) / 6)).map((moment) => [moment]),
        trial: downAndUp,
      },
      options,
    )
    const kinds = Object.keys(carriers) as (keyof typeof carriers)[]
    yield {
      what: 'stack: hub, dnsmasq and virtiofsd killed while it runs',
      ...(await tryAll(kinds, {...options, jobs: 1, bench: makeWorld}, (kind, world) => withoutCarrier(world, kind))),
    }
  },
}

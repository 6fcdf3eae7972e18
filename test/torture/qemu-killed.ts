import {setTimeout as sleep} from 'node:timers/promises'

import {type Figure, spread, tryAll} from './figure.ts'
import {microImage} from './micro-image.ts'
import {describe, type Outcome, QemuWorld, type Running, wrongVerdicts} from './world.ts'

/** A moment in the life of a VM at which its QEMU is killed. */
interface Moment {
  readonly name: string
  /** The VM is made anew for it, or is up. */
  readonly from: 'nothing' | 'running'
  readonly before?: readonly string[]
  /** The command that is under way; none when the VM is left alone. */
  readonly words?: readonly string[]
  /** When: so long after the command has begun, after its QEMU has, or after it has printed something. */
  readonly after?: {readonly ms: number; readonly of: 'command' | 'qemu'} | {readonly ms: number; readonly printed: string}
  /** Whether the command may succeed all the same, because it wants the VM to end or was faster. */
  readonly maySucceed?: boolean
}

const boot = (ms: number): Moment => ({name: `up, ${ms} ms after QEMU began`, from: 'nothing', words: ['up'], after: {ms, of: 'qemu'}})

const inStep = (text: string, ms: number): Moment => ({
  name: `up, ${ms} ms after it printed ${text}`,
  from: 'nothing',
  words: ['up'],
  after: {ms, printed: text},
})

const during = (words: readonly string[], ms: number, more: Partial<Moment> = {}): Moment => ({
  name: `${words.join(' ')}, ${ms} ms after it began`,
  from: 'running',
  words,
  after: {ms, of: 'command'},
  ...more,
})

const moments: readonly Moment[] = [
  ...[0, 100, 500, 1500, 3000, 5000].map(boot),
  inStep('begin-1', 0),
  inStep('begin-1', 400),
  inStep('end-1', 0),
  inStep('begin-2', 200),
  {name: 'running', from: 'running'},
  {name: 'suspended', from: 'running', before: ['suspend', 'web']},
  during(['down'], 250, {maySucceed: true}),
  during(['down'], 900, {maySucceed: true}),
  {name: 'provision, in step 1', from: 'running', words: ['provision'], after: {ms: 200, printed: 'begin-1'}},
  during(['reload'], 250, {maySucceed: true}),
  {name: 'reload, in the boot of the new VM', from: 'running', words: ['reload'], after: {ms: 4000, of: 'command'}},
  during(['suspend', 'web'], 200, {maySucceed: true}),
  during(['resume', 'web'], 200, {before: ['suspend', 'web'], maySucceed: true}),
  during(['ssh', 'web', '--', 'sleep 30'], 1500),
]

const step = (number: number): string => `provision "shell" { inline "echo begin-${number}; sleep 1; echo end-${number}"; }`

const vmfile = (): string => `vm "web" {
  image "${microImage()}"
  memory 192
  cloud-init { hostname "web"; }
  ssh { user "dev"; }
  ${step(1)}
  ${step(2)}
}`

const makeWorld = async (): Promise<QemuWorld> => {
  const world = new QemuWorld()
  world.write('VMFile.kdl', vmfile())
  return world
}

/** Waits for something that must come before the command ends. */
const until = async (running: Running, condition: () => boolean): Promise<void> => {
  let over = false
  void running.outcome.then(() => (over = true))
  while (!condition()) {
    if (over) throw new Error(`too early: ${describe(await running.outcome)}`)
    await sleep(5)
  }
}

const reach = async (world: QemuWorld, {words, after}: Moment): Promise<Running | undefined> => {
  if (!words || !after) return undefined
  const running = world.start(words)
  if ('printed' in after) await until(running, () => running.written.stdout.includes(after.printed))
  else if (after.of === 'qemu') await until(running, () => world.qemus().length > 0)
  await sleep(after.ms)
  return running
}

/** Kills the VM's QEMU; one that ended just before is dead as well. */
const killQemu = async (world: QemuWorld): Promise<void> => {
  for (const {pid} of world.qemus()) process.kill(pid, 'SIGKILL')
  while (world.qemus().length > 0) await sleep(1)
}

interface Timing {
  slowestStatusMs: number
}

const requireTruth = async (world: QemuWorld, timing: Timing): Promise<string[]> => {
  const {stdout, exitCode, durationMs} = await world.run(['status', 'web', '--json'])
  timing.slowestStatusMs = Math.max(timing.slowestStatusMs, durationMs)
  const {state, error} = JSON.parse(stdout)
  // Between the old VM and the new one of a reload, there is none.
  if (exitCode !== 0) return error.code === 'vmctl::vm::not_found' ? [] : [`status fails: ${stdout}`]
  // A `reload` that was under way may have started a new QEMU by now.
  const isTrue = ['stopped', 'failed', 'prepared'].includes(state) || world.qemus().length > 0
  return isTrue ? [] : [`status says ${state}`]
}

/** `up`; a step that died with its guest has an unknown outcome, which the user decides about. */
const recover = async (world: QemuWorld): Promise<Outcome> => {
  const up = await world.run(['up', '--json'])
  if (up.exitCode === 0) return up
  const {error} = JSON.parse(up.stdout)
  return error.code === 'vmctl::provision::unknown_outcome' ? world.run(['provision', '--rerun', String(error.step)]) : up
}

const trial = async (moment: Moment, world: QemuWorld, timing: Timing): Promise<string[]> => {
  if (moment.from === 'running') await world.ok(['up'])
  else if ((await world.list()).length > 0) await world.ok(['destroy', 'web'])
  if (moment.before) await world.ok(moment.before)
  const running = await reach(world, moment)
  await killQemu(world)
  const found = await requireTruth(world, timing)
  const outcome = await running?.outcome
  if (outcome?.signal) found.push(`the command did not notice: ${describe(outcome)}`)
  if (outcome?.exitCode === 0 && !moment.maySucceed) found.push(`the command claims success: ${describe(outcome)}`)
  const recovered = await recover(world)
  if (recovered.exitCode !== 0) return [`killed in ${moment.name}: ${[...found, describe(recovered)].join('; ')}`]
  const {state, provision} = await world.status()
  if (state !== 'running') found.push(`the VM is ${state}`)
  for (const entry of provision) if (entry.state !== 'done') found.push(`step ${entry.step} is ${entry.state}`)
  found.push(...(await wrongVerdicts(world)), ...world.leftovers().map((path) => `left over: ${path}`), ...(await world.orphans()))
  return found.length === 0 ? [] : [`killed in ${moment.name}: ${found.join('; ')}`]
}

export const qemuKilled: Figure = {
  id: 'F3',
  async *rows({trials, ...options}) {
    const timing = {slowestStatusMs: 0}
    const chosen = spread(moments, trials)
    const result = await tryAll(chosen, {...options, bench: makeWorld}, (moment, world) => trial(moment, world, timing))
    yield {what: `QEMU killed, then status and up; slowest status: ${Math.round(timing.slowestStatusMs)} ms`, ...result}
  },
}

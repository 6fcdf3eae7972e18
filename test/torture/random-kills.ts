import {existsSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'

import {type Figure, randomFrom, type Row, type TortureOptions, tryAll} from './figure.ts'
import {microImage} from './micro-image.ts'
import {describe, NoopWorld, QemuWorld, type World, wrongVerdicts} from './world.ts'

/** What is killed, and how often each step has to have run when `up` was run after it. */
interface Verb {
  readonly name: string
  /** What it is run on, when that is not a running VM whose steps are done. */
  readonly before?: readonly string[]
  readonly words: readonly string[]
  /** Whether the VMFile has other steps this time, which nobody has run yet. */
  readonly isEdited?: boolean
  readonly runs: (isSameVm: boolean) => readonly [least: number, most: number]
  /** How long it takes on the fake backend and on QEMU, in milliseconds; learnt better while it is used. */
  readonly duration: readonly [noop: number, qemu: number]
}

const remade = (isSameVm: boolean): readonly [number, number] => (isSameVm ? [0, 1] : [1, 1])

/** Commands that cost a boot come last. */
const verbs: readonly Verb[] = [
  {name: 'up, other steps', words: ['up'], isEdited: true, runs: () => [1, 1], duration: [900, 2500]},
  {name: 'provision', words: ['provision'], runs: () => [0, 1], duration: [900, 2500]},
  {name: 'suspend', words: ['suspend', 'web'], runs: () => [0, 0], duration: [300, 300]},
  {name: 'up, suspended', before: ['suspend', 'web'], words: ['up'], runs: () => [0, 0], duration: [400, 500]},
  {name: 'down', words: ['down'], runs: () => [0, 1], duration: [300, 4000]},
  {name: 'up, stopped', before: ['stop', 'web', '--timeout', '0'], words: ['up'], runs: () => [1, 1], duration: [900, 12_000]},
  {name: 'down --destroy', words: ['down', '--destroy'], runs: remade, duration: [300, 500]},
  {name: 'up, new', before: ['destroy', 'web'], words: ['up'], isEdited: true, runs: () => [1, 1], duration: [1000, 12_000]},
  {name: 'reload', words: ['reload'], runs: remade, duration: [1000, 12_000]},
]

const steps = [1, 2, 3]

/** One VM that goes through one killed command after the other. */
class Soak<W extends World> implements AsyncDisposable {
  readonly world: W
  readonly #vmText: string
  readonly #isQemu: boolean
  readonly #durations: Map<Verb, number>
  #round = 0

  constructor(world: W, vmText: string) {
    this.world = world
    this.#vmText = vmText
    this.#isQemu = world instanceof QemuWorld
    this.#durations = new Map(verbs.map((verb) => [verb, verb.duration[this.#isQemu ? 1 : 0]]))
  }

  /** Gives the VMFile steps that nobody has run. */
  #edit(): void {
    this.#round += 1
    const path = this.world instanceof NoopWorld ? this.world.guestPath('runs') : '~/runs'
    const text = (step: number): string => `${this.#round}.${step}`
    const body = steps.map((step) => `provision "shell" { inline "echo ${text(step)} >>${path}; sleep 0.1; echo done-${text(step)}"; }`)
    this.world.write('VMFile.kdl', `vm "web" {\n${this.#vmText}\n${body.join('\n')}\n}\n`)
  }

  async #facts() {
    const {id, overlay = '', provision, state} = await this.world.status()
    return {id, state, disk: existsSync(overlay) ? statSync(overlay).ino : 0, provision}
  }

  /** How often each step of this round has run. */
  async #runs(): Promise<number[]> {
    const lines = await this.world.lines('runs')
    return steps.map((step) => lines.filter((line) => line === `${this.#round}.${step}`).length)
  }

  /** When to kill, so that every moment of the command is as likely as any other, and sometimes it has just ended. */
  async #kill(verb: Verb, part: number): Promise<string> {
    const duration = this.#durations.get(verb) ?? 1000
    const milliseconds = part * duration * 1.05
    const started = performance.now()
    const isKilled = await this.world.killAfter(verb.words, milliseconds)
    const took = performance.now() - started
    if (!isKilled) this.#durations.set(verb, 0.7 * duration + 0.3 * took)
    else if (milliseconds > duration) this.#durations.set(verb, duration * 1.1)
    return `${isKilled ? 'killed' : 'ended'} after ${Math.round(took)} ms of ${verb.name}`
  }

  async trial(verb: Verb, part: number): Promise<string[]> {
    if (this.#round === 0) {
      this.#edit()
      await this.world.ok(['up'])
    }
    const before = await this.#facts()
    if (verb.before) await this.world.ok(verb.before)
    if (verb.isEdited) this.#edit()
    const earlier = verb.isEdited ? steps.map(() => 0) : await this.#earlierRuns(verb)
    const how = await this.#kill(verb, part)
    const found = await wrongVerdicts(this.world).then((all) => all.map((problem) => `at once: ${problem}`))
    const again = await this.world.run(['up'])
    if (again.exitCode !== 0) found.push(describe(again))
    else found.push(...(await this.#problems(verb, {...before, earlier})))
    return found.length === 0 ? [] : [`${how}: ${found.join('; ')}`]
  }

  /** A suspended or stopped QEMU cannot be asked; it has what it had. */
  async #earlierRuns({before}: Verb): Promise<number[]> {
    return this.#isQemu && before ? (this.#known ?? steps.map(() => 0)) : this.#runs()
  }

  #known: number[] | undefined

  async #problems(
    verb: Verb,
    before: {readonly id: string; readonly disk: number; readonly earlier: readonly number[]},
  ): Promise<string[]> {
    const found = await wrongVerdicts(this.world)
    const after = await this.#facts()
    const isSame = after.id === before.id
    if (after.state !== 'running') found.push(`the VM is ${after.state}`)
    if (isSame && after.disk !== before.disk) found.push('the disk is another one')
    const undone = after.provision.filter(({state}) => state !== 'done')
    if (undone.length > 0 || after.provision.length !== steps.length) found.push(`steps are not done: ${JSON.stringify(undone)}`)
    const runs = await this.#runs()
    this.#known = runs
    const [least, most] = verb.runs(isSame)
    for (const [index, count] of runs.entries()) {
      // A new disk of a real guest has no memory of the old one.
      const more = count - (this.#isQemu && !isSame ? 0 : (before.earlier[index] ?? 0))
      if (more < least || more > most) found.push(`step ${index + 1} has run ${more} more times, not ${least} to ${most}`)
    }
    const log = readFileSync(join(this.world.stateDirectory, 'vms/web/provision.log'), 'utf8')
    for (const step of steps) if (!log.includes(`done-${this.#round}.${step}\n`)) found.push(`the output of step ${step} is not in the log`)
    return [...found, ...this.world.leftovers().map((path) => `left over: ${path}`), ...(await this.world.orphans())]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]()
  }
}

const noopSoak = async (): Promise<Soak<NoopWorld>> => {
  const world = await NoopWorld.make()
  return new Soak(world, `image "disk.qcow2"\n${world.login}`)
}

const qemuSoak = async (): Promise<Soak<QemuWorld>> =>
  new Soak(new QemuWorld(), `image "${microImage()}"\nmemory 192\ncloud-init { hostname "web"; }\nssh { user "dev"; }`)

const soak = async <W extends World>(
  make: () => Promise<Soak<W>>,
  {what, trials}: {readonly what: string; readonly trials: number},
  options: TortureOptions,
): Promise<Row> => {
  const random = randomFrom(options.seed)
  const kills = Array.from({length: trials}, (_, index) => ({verb: verbs[index % verbs.length] as Verb, part: random()}))
  const result = await tryAll(kills, {...options, bench: make}, ({verb, part}, own) => own.trial(verb, part))
  return {what: `killed at random times of ${verbs.length} commands: ${what}`, ...result}
}

export const randomKills: Figure = {
  id: 'F2',
  async *rows(options) {
    yield await soak(noopSoak, {what: 'fake backend', trials: options.trials ?? 1000}, options)
    yield await soak(qemuSoak, {what: 'real QEMU', trials: Math.ceil((options.trials ?? 1000) / 18)}, options)
  },
}

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {openEngine} from '../../src/engine/engine.ts'
import {list, status, type VmStatus, type VmSummary} from '../../src/engine/show/inspect.ts'
import {messageOf} from '../../src/model/errors.ts'
import {startSshd, type TestSshd} from '../support/sshd.ts'
import {isAlive, processes, qemusBelow, stopAll} from '../support/vm-processes.ts'
import {
  type Ended,
  makeDisk,
  privateEnvironment,
  type Running as ProgramRunning,
  startProgram,
  vmctlProgram,
} from '../support/vmctl-process.ts'

export interface Outcome extends Ended {
  readonly words: readonly string[]
  readonly durationMs: number
}

export type Running = ProgramRunning<Outcome>

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** Words before `node bin/run.js`, of programs that execute it. */
  readonly prefix?: readonly string[]
  /** For node itself: `--import …`. */
  readonly node?: readonly string[]
  readonly timeoutMs?: number
}

const memory = (): string => (existsSync('/dev/shm') ? '/dev/shm' : tmpdir())

/** What one vmctl has around it: a home, a project directory, a state directory, a backend, and a guest that can be looked into. */
export class World implements AsyncDisposable {
  readonly directory: string
  readonly stateDirectory: string
  readonly env: NodeJS.ProcessEnv

  constructor(name: string, parent: string, env: NodeJS.ProcessEnv) {
    this.directory = mkdtempSync(join(realpathSync(parent), `vmctl-torture-${name}-`))
    this.stateDirectory = join(this.directory, 'state')
    const home = join(this.directory, 'home')
    mkdirSync(home)
    this.env = privateEnvironment(home, {VMCTL_STATE_DIR: this.stateDirectory, ...env})
    makeDisk(join(this.directory, 'disk.qcow2'))
  }

  /** What stands in a file of the guest, line by line; none when there is no such file. */
  async lines(_file: string): Promise<string[]> {
    return []
  }

  write(path: string, content: string): string {
    const full = join(this.directory, path)
    writeFileSync(full, content)
    return full
  }

  start(words: readonly string[], options: RunOptions = {}): Running {
    const started = performance.now()
    const running = startProgram([...(options.prefix ?? []), process.execPath, ...(options.node ?? []), vmctlProgram, ...words], {
      cwd: options.cwd ?? this.directory,
      env: {...this.env, ...options.env},
      ...(options.timeoutMs !== undefined && {timeoutMs: options.timeoutMs}),
    })
    const outcome = running.outcome.then((ended): Outcome => ({words, ...ended, durationMs: performance.now() - started}))
    return {...running, outcome}
  }

  run(words: readonly string[], options?: RunOptions): Promise<Outcome> {
    return this.start(words, options).outcome
  }

  /** Runs vmctl and requires success. */
  async ok(words: readonly string[], options?: RunOptions): Promise<Outcome> {
    const outcome = await this.run(words, options)
    if (outcome.exitCode === 0) return outcome
    throw new Error(describe(outcome))
  }

  /** Kills a command after a time; tells whether it was still under way. */
  async killAfter(words: readonly string[], milliseconds: number): Promise<boolean> {
    const running = this.start(words)
    await Promise.race([sleep(milliseconds), running.outcome])
    running.kill()
    return (await running.outcome).signal === 'SIGKILL'
  }

  /** What `vmctl list --json` prints. */
  async list(): Promise<readonly VmSummary[]> {
    return list(await this.#engine())
  }

  /** What `vmctl status --json` prints. */
  async status(name = 'web'): Promise<VmStatus> {
    return status(await this.#engine(), name)
  }

  #engine() {
    return openEngine({stateDirectory: this.stateDirectory, env: this.env})
  }

  /** Half-made and half-removed things in the state directory. */
  leftovers(): string[] {
    if (!existsSync(this.stateDirectory)) return []
    return readdirSync(this.stateDirectory, {recursive: true, encoding: 'utf8'}).filter((path) =>
      /(?:^|\/)\.(?:new|gone|probe)-|\.tmp$|seed-spent|(?:^|\/)partial\/./.test(path),
    )
  }

  /** Whatever runs for this world and should not, when nothing is under way. */
  async orphans(): Promise<string[]> {
    return []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stopAll(this.directory)
    rmSync(this.directory, {recursive: true, force: true, maxRetries: 3})
  }
}

export const describe = ({words, exitCode, signal, stdout, stderr}: Outcome): string =>
  `vmctl ${words.join(' ')} ended with ${signal ?? exitCode}: ${stdout.slice(-400)}${stderr.slice(-1200)}`

/** Waits, up to five seconds, until nothing is found any more; returns what is. */
export const settled = async (find: () => string[] | Promise<string[]>): Promise<string[]> => {
  const deadline = performance.now() + 5000
  for (;;) {
    const found = await find()
    if (found.length === 0 || performance.now() > deadline) return found
    await sleep(50)
  }
}

/** What makes the guest's directories its own, and lets it say that cloud-init is done. */
const guestSetup = `set -e
mount -t tmpfs -o mode=1777 guest /var/tmp
mount -t tmpfs guest /run
mkdir -m 755 /run/sshd /run/cloud-init
echo '{"v1": {"datasource": "DataSourceNoCloud", "errors": []}}' >/run/cloud-init/result.json
exec "$@"`

/** The fake backend. Its guest is a real SSH server on the host, if possible with a /var/tmp of its own. */
export class NoopWorld extends World {
  readonly sshd: TestSshd
  /** The `ssh` block of a VM. */
  readonly login: string
  /** Whether the guest's directories are its own. */
  readonly isPrivate: boolean

  static async make(): Promise<NoopWorld> {
    const isPrivate = process.getuid?.() === 0
    const prefix = ['unshare', '--mount', 'sh', '-c', guestSetup, 'sh']
    const sshd = await startSshd({config: ['MaxStartups 1000', 'MaxSessions 1000'], ...(isPrivate && {prefix})})
    return new NoopWorld(sshd, isPrivate)
  }

  private constructor(sshd: TestSshd, isPrivate: boolean) {
    super('noop', memory(), {VMCTL_BACKEND: 'noop', VMCTL_NOOP_SSH: `127.0.0.1:${sshd.port}`})
    this.sshd = sshd
    this.isPrivate = isPrivate
    this.login = `ssh { user "${sshd.user}"; private-key "${sshd.keyPath}"; }`
    mkdirSync(join(this.directory, 'guest'))
  }

  /** A path in the guest for a file that steps write. */
  guestPath(file: string): string {
    return join(this.directory, 'guest', file)
  }

  override async lines(file: string): Promise<string[]> {
    const path = this.guestPath(file)
    return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : []
  }

  /** Jobs that run in the guest although their session is over. */
  override async orphans(): Promise<string[]> {
    const namespace = this.isPrivate ? namespaceOf(this.sshd.pid) : ''
    if (namespace === '') return []
    return settled(() => {
      const known = new Set([this.sshd.pid, ...this.sshd.sessions()])
      return processes()
        .filter((pid) => !known.has(pid) && namespaceOf(pid) === namespace && isAlive(pid))
        .map((pid) => `process ${pid} (${commandOf(pid)}) runs on in the guest`)
    })
  }

  get isSaved(): boolean {
    return existsSync(this.#saved())
  }

  #saved(): string {
    return `${this.directory}.saved`
  }

  /** Keeps everything as it is, for `restore`. */
  save(): void {
    rmSync(this.#saved(), {recursive: true, force: true})
    cpSync(this.directory, this.#saved(), {recursive: true, preserveTimestamps: true, verbatimSymlinks: true})
  }

  restore(): void {
    rmSync(this.directory, {recursive: true, force: true, maxRetries: 3})
    cpSync(this.#saved(), this.directory, {recursive: true, preserveTimestamps: true, verbatimSymlinks: true})
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.sshd[Symbol.asyncDispose]()
    await super[Symbol.asyncDispose]()
    rmSync(this.#saved(), {recursive: true, force: true})
  }
}

/** Real QEMU. */
export class QemuWorld extends World {
  constructor(env: NodeJS.ProcessEnv = {}) {
    super('qemu', tmpdir(), {VMCTL_ACCEL: 'tcg', ...env})
  }

  override async lines(file: string): Promise<string[]> {
    const {stdout} = await this.ok(['ssh', 'web', '--', `cat ${file} 2>/dev/null || true`])
    return stdout === '' ? [] : stdout.trimEnd().split('\n')
  }

  qemus(): readonly {readonly pid: number; readonly id: string}[] {
    return qemusBelow(this.directory)
  }

  /** QEMU processes that belong to no VM of the list. */
  override async orphans(): Promise<string[]> {
    const ids = new Set(await Promise.all((await this.list()).map(async ({name}) => (await this.status(name)).id)))
    return settled(() => {
      const all = this.qemus()
      return all
        .filter(({id}, index) => !ids.has(id) || all.findIndex((other) => other.id === id) !== index)
        .map(({pid, id}) => `QEMU ${pid} runs for ${id}, ${ids.has(id) ? 'a second time' : 'which is no VM'}`)
    })
  }
}

const namespaceOf = (pid: number): string => {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`)
  } catch {
    return ''
  }
}

const commandOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 120)
  } catch {
    return ''
  }
}

/**
 * What is wrong with what the readers say now: they never fail, and what they say is what is there. They are asked again when a
 * QEMU that a killed vmctl had just started, or ended, has come or gone between the question and the check of the answer.
 */
export const wrongVerdicts = async (world: World): Promise<string[]> => {
  const qemus = (): string => (world instanceof QemuWorld ? world.qemus().map(({pid}) => pid) : []).join()
  for (;;) {
    const before = qemus()
    const found = await compareVerdicts(world)
    if (found.length === 0 || qemus() === before) return found
  }
}

const compareVerdicts = async (world: World): Promise<string[]> => {
  const found: string[] = []
  for (const {name, state, error, pid} of await world.list()) {
    if (error !== undefined || state === 'unknown') {
      found.push(`list says ${state} of ${name}: ${error}`)
      continue
    }
    const told = await world.status(name).catch((cause: unknown) => messageOf(cause))
    if (typeof told === 'string') {
      found.push(`status of ${name} fails: ${told}`)
      continue
    }
    if (told.state !== state) found.push(`list says ${state} of ${name} and status ${told.state}`)
    const isUp = state === 'running' || state === 'suspended'
    if (world instanceof QemuWorld) {
      const qemu = world.qemus().find(({id}) => id === told.id)
      if (isUp !== (qemu !== undefined)) found.push(`${name} is said to be ${state}, and its QEMU is ${qemu?.pid ?? 'not there'}`)
      else if (qemu?.pid !== pid) found.push(`${name} is said to be process ${pid}, and is ${qemu?.pid}`)
    } else if (isUp !== existsSync(join(world.stateDirectory, 'vms', name, 'noop.json'))) {
      found.push(`${name} is said to be ${state}`)
    }
  }
  return found
}

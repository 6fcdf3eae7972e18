import {execFileSync} from 'node:child_process'
import {cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {zstdCompressSync} from 'node:zlib'

import {openEngine} from '../../src/engine/engine.ts'
import {list} from '../../src/engine/show/inspect.ts'
import {failures} from '../../src/engine/failures.ts'
import {type ImageServer, startImageServer} from '../support/image-server.ts'
import {digestOf, makeRawDisk} from '../support/images.ts'
import {startSshd, type TestSshd} from '../support/sshd.ts'
import {type Ended, makeDisk, privateEnvironment, startProgram, vmctlProgram} from '../support/vmctl-process.ts'

const source = resolve(import.meta.dirname, '../../fixtures/faults.c')

export const faultErrors = ['ENOSPC', 'EIO', 'EROFS', 'EMFILE'] as const

export type FaultError = (typeof faultErrors)[number]

/** One file operation below the state directory that fails, and what it fails with. */
export interface Fault {
  readonly error: FaultError
  /** Counts from 1, over all processes that the command starts. */
  readonly at: number
  /** Every later operation fails too, as on a disk that stays full; otherwise only this one. */
  readonly lasts: boolean
}

/** One line of the table: what was tried, how often, and what went wrong. */
interface Row {
  readonly what: string
  readonly trials: number
  readonly wrong: readonly string[]
}

interface Scenario {
  readonly name: string
  readonly before: readonly (readonly string[])[]
  readonly command: readonly string[]
  readonly backend: 'noop' | 'qemu'
  /** State of the VM in the end; undefined when there is none. */
  readonly state?: string
  /** How often each step has run in the end, where that is certain. */
  readonly runs?: number
  /** Whether the command may replace or remove the disk of an existing VM. */
  readonly endsDisk?: boolean
  /** What a second run may say when the first one failed after all was done. */
  readonly mayRefuse?: string
}

export const faultScenarios: readonly Scenario[] = [
  {name: 'up, new', backend: 'noop', before: [], command: ['up'], state: 'running', runs: 1},
  {name: 'up, stopped', backend: 'noop', before: [['up'], ['down']], command: ['up'], state: 'running', runs: 2},
  {name: 'reload', backend: 'noop', before: [['up']], command: ['reload'], state: 'running', endsDisk: true},
  {name: 'provision', backend: 'noop', before: [['up']], command: ['provision'], state: 'running'},
  {name: 'down', backend: 'noop', before: [['up']], command: ['down'], state: 'stopped', runs: 1},
  {name: 'down --destroy', backend: 'noop', before: [['up']], command: ['down', '--destroy'], endsDisk: true},
  {
    name: 'create, QEMU',
    backend: 'qemu',
    before: [],
    command: ['create', '--name', 'web', '--image', 'disk.qcow2', '--ssh-key', 'key.pub'],
    state: 'prepared',
    mayRefuse: 'vmctl::vm::name_exists',
  },
  {
    name: 'destroy, QEMU',
    backend: 'qemu',
    before: [['create', '--name', 'web', '--image', 'disk.qcow2', '--ssh-key', 'key.pub']],
    command: ['destroy', 'web'],
    endsDisk: true,
    mayRefuse: 'vmctl::vm::not_found',
  },
  {name: 'image pull', backend: 'noop', before: [], command: ['image', 'pull', 'URL', '--name', 'disk']},
]

const steps = 2
const diskBytes = 3 * 2 ** 20

/** The servers that trials share: a guest and a place to download from. */
export class FaultLab implements AsyncDisposable {
  readonly sshd: TestSshd
  readonly server: ImageServer
  readonly directory: string
  /** The library that makes operations fail. */
  readonly library: string
  readonly url: string
  readonly disk = makeRawDisk(diskBytes)
  /** As it is served; the cache names the disk by this. */
  readonly published = zstdCompressSync(this.disk)

  static async open(): Promise<FaultLab> {
    return new FaultLab(await startSshd(), await startImageServer())
  }

  private constructor(sshd: TestSshd, server: ImageServer) {
    this.sshd = sshd
    this.server = server
    this.directory = mkdtempSync(join(tmpdir(), 'vmctl-faults-'))
    this.library = join(this.directory, 'faults.so')
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', this.library, source, '-ldl'])
    server.files.set('/disk.raw.zst', {content: this.published})
    this.url = `${server.origin}/disk.raw.zst`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.sshd[Symbol.asyncDispose](), this.server[Symbol.asyncDispose]()])
    rmSync(this.directory, {recursive: true, force: true})
  }
}

/** A project in which one scenario is tried again and again, always from the same state. */
export class FaultBench implements Disposable {
  readonly #lab: FaultLab
  readonly #scenario: Scenario
  readonly #directory: string
  readonly #saved: string

  static async open(lab: FaultLab, scenario: Scenario): Promise<FaultBench> {
    const bench = new FaultBench(lab, scenario)
    await bench.#prepare()
    return bench
  }

  private constructor(lab: FaultLab, scenario: Scenario) {
    this.#lab = lab
    this.#scenario = scenario
    this.#directory = mkdtempSync(join(lab.directory, 'bench-'))
    this.#saved = join(this.#directory, 'saved')
  }

  async #prepare(): Promise<void> {
    const {sshd} = this.#lab
    const world = this.#path('world')
    mkdirSync(join(world, 'ran'), {recursive: true})
    mkdirSync(join(world, 'state'), {mode: 0o700})
    writeFileSync(this.#path('motd'), 'hello\n')
    writeFileSync(this.#path('key.pub'), `${sshd.key.publicKey}\n`)
    writeFileSync(this.#path('key'), sshd.key.privateKey, {mode: 0o600})
    writeFileSync(this.#path('counter'), Buffer.alloc(8))
    makeDisk(this.#path('disk.qcow2'))
    const step = (number: number): string => `provision "shell" { inline "echo ran >>'${world}/ran/${number}'; echo output ${number}"; }`
    writeFileSync(
      this.#path('VMFile.kdl'),
      `vm "web" {
        image "disk.qcow2"
        ssh { user "${sshd.user}"; private-key "${sshd.keyPath}"; }
        ${step(1)}
        provision "file" { source "motd"; destination "${world}/motd.copy"; }
        ${step(2)}
      }`,
    )
    for (const command of this.#scenario.before) {
      const {exitCode, stderr} = await this.#run(command)
      if (exitCode !== 0) throw new Error(`${command.join(' ')} failed: ${stderr}`)
    }
    // The backend that runs nothing makes no disk; these stand for what must never be lost.
    const vm = join(world, 'state', 'vms', 'web')
    const stand = {[precious.disk]: 'the disk', [precious.key]: sshd.key.privateKey}
    for (const [name, content] of Object.entries(existsSync(vm) ? stand : {})) {
      if (!existsSync(join(vm, name))) writeFileSync(join(vm, name), content, {mode: 0o600})
    }
    cpSync(world, this.#saved, {recursive: true})
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }

  #run(command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
    const {sshd, url} = this.#lab
    const words = command.map((word) => (word === 'URL' ? url : word))
    return startProgram([process.execPath, vmctlProgram, ...words, '--json'], {
      cwd: this.#directory,
      env: privateEnvironment(this.#directory, {
        VMCTL_BACKEND: this.#scenario.backend,
        VMCTL_NOOP_SSH: `127.0.0.1:${sshd.port}`,
        VMCTL_STATE_DIR: this.#path('world/state'),
        ...env,
      }),
      timeoutMs: 120_000,
    }).outcome
  }

  #restore(): void {
    const world = this.#path('world')
    rmSync(world, {recursive: true, force: true})
    cpSync(this.#saved, world, {recursive: true})
  }

  /** Runs the command with a fault; `at` 0 lets everything pass. */
  async #inject({error, at, lasts}: Fault, log?: string): Promise<Ended> {
    this.#restore()
    writeFileSync(this.#path('counter'), Buffer.alloc(8))
    return this.#run(this.#scenario.command, {
      LD_PRELOAD: this.#lab.library,
      FAULT_DIRECTORY: this.#path('world/state'),
      FAULT_ERROR: error,
      FAULT_AT: String(at),
      FAULT_COUNTER: this.#path('counter'),
      ...(lasts && {FAULT_LASTS: '1'}),
      ...(log !== undefined && {FAULT_LOG: log}),
    })
  }

  /** The file operations of the command that can fail in this way, in their order. */
  async operations(error: FaultError): Promise<readonly string[]> {
    const log = this.#path('log')
    rmSync(log, {force: true})
    const {exitCode, stdout} = await this.#inject({error, at: 0, lasts: false}, log)
    if (exitCode !== 0) throw new Error(`${this.#scenario.name} failed without a fault: ${stdout}`)
    return readFileSync(log, 'utf8').trimEnd().split('\n')
  }

  /** Runs the command with a fault and once more without; says what is wrong then. */
  async try(fault: Fault): Promise<string[]> {
    const identity = this.#identity()
    const first = await this.#inject(fault)
    if (readFileSync(this.#path('counter')).readUInt32LE(0) < fault.at) return []
    const failure = first.exitCode === 0 ? undefined : errorOf(first)
    const found = [...this.#wrongFailure(first), ...this.#lost(identity)]
    // A command that says that it has succeeded has done everything.
    if (first.exitCode === 0) return [...found, ...(await this.#problems('although it reported success'))]
    const again = await this.#run(this.#scenario.command)
    const isRefused = this.#scenario.mayRefuse !== undefined && errorOf(again)?.code === this.#scenario.mayRefuse
    if (again.exitCode !== 0 && !isRefused) {
      return [...found, `after "${failure?.message}" one more run failed with status ${again.exitCode}: ${again.stdout}${again.stderr}`]
    }
    return [...found, ...(await this.#problems(`after "${failure?.message}" and one more run`))]
  }

  #wrongFailure(ended: Ended): string[] {
    const {exitCode, stdout, stderr} = ended
    if (exitCode === 0) return []
    const error = errorOf(ended)
    if (!error) return [`it ended with ${exitCode} and without an error: ${stdout}${stderr}`]
    if (!Object.hasOwn(failures, error.code) || exitCode === 1) return [`an error without a code: ${exitCode} ${stdout}`]
    return error.message.length > 0 && /^[^\n]*at .*\.js:\d+/m.exec(error.message) === null ? [] : [`no words: ${stdout}`]
  }

  /** Identity of the VM before, by its record. */
  #identity(): string | undefined {
    this.#restore()
    return this.#recordId()
  }

  #recordId(): string | undefined {
    const path = this.#path('world/state/vms/web/vm.json')
    return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).id : undefined
  }

  /** What a failed command has cost a VM that is still there. */
  #lost(identity: string | undefined): string[] {
    if (identity === undefined) return []
    const isSame = this.#recordId() === identity
    if (!isSame) return this.#scenario.endsDisk ? [] : ['the VM is gone']
    return Object.values(precious)
      .filter((name) => {
        const [before, now] = [join(this.#saved, 'state/vms/web', name), this.#path(`world/state/vms/web/${name}`)]
        return !existsSync(now) || !readFileSync(now).equals(readFileSync(before))
      })
      .map((name) => `${name} is not what it was`)
  }

  async #problems(when: string): Promise<string[]> {
    const {state, runs, name} = this.#scenario
    const found: string[] = []
    const [vm] = await list(await openEngine({stateDirectory: this.#path('world/state'), backend: 'noop', env: {}}))
    if (vm?.state !== state) found.push(`the VM is ${vm?.state}, not ${state}`)
    for (let step = 1; runs !== undefined && step <= steps; step++) {
      const path = this.#path(`world/ran/${step}`)
      const count = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').length : 0
      if (count !== runs) found.push(`step ${step} ran ${count} times, not ${runs}`)
    }
    const vms = this.#path('world/state/vms')
    const names = existsSync(vms) ? readdirSync(vms) : []
    // A success is still one when a file could not be tidied away; the next command does it.
    const isTidy = when.includes('more run')
    if (isTidy) found.push(...names.filter((entry) => entry.startsWith('.')).map((entry) => `left over: ${entry}`))
    if (name === 'image pull') found.push(...this.#imageProblems())
    return found.map((problem) => `${when}: ${problem}`)
  }

  #imageProblems(): string[] {
    const directory = this.#path('world/state/images')
    const disks = readdirSync(directory).filter((entry) => entry.startsWith('sha256-'))
    const [disk] = disks
    if (disks.length !== 1 || disk === undefined) return [`there are ${disks.length} images`]
    const content = readFileSync(join(directory, disk))
    const refs = readdirSync(join(directory, 'refs')).filter((entry) => entry.endsWith('.json'))
    return [
      ...(content.equals(this.#lab.disk) ? [] : ['the image has other bytes']),
      ...(disk.includes(digestOf(this.#lab.published)) ? [] : ['the image has a wrong name']),
      ...(refs.length === 1 ? [] : [`there are ${refs.length} index files`]),
    ]
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, {recursive: true, force: true})
  }
}

/** What a VM must never lose. */
const precious = {disk: 'overlay.qcow2', key: 'id_ed25519_generated'} as const

const errorOf = ({stdout}: Ended): {readonly code: string; readonly message: string} | undefined => {
  try {
    return JSON.parse(stdout).error
  } catch {
    return undefined
  }
}

/** `count` of the faults, spread evenly over all of them. */
const choose = (faults: readonly Fault[], count = faults.length): Fault[] =>
  faults.filter((_, index) => Math.floor((index * count) / faults.length) !== Math.floor(((index - 1) * count) / faults.length))

/** F7 of the table of `npm run test:torture`: every operation of every command fails, once and from then on. */
export const faults = {
  id: 'F7',
  async *rows({trials, jobs}: {readonly trials?: number | undefined; readonly jobs: number}): AsyncGenerator<Row> {
    await using lab = await FaultLab.open()
    for (const scenario of faultScenarios) {
      const benches = await Promise.all(Array.from({length: jobs}, () => FaultBench.open(lab, scenario)))
      using stack = new DisposableStack()
      for (const bench of benches) stack.use(bench)
      for (const error of faultErrors) {
        const operations = (await benches[0]?.operations(error)) ?? []
        const all = [false, true].flatMap((lasts) => operations.map((_, index): Fault => ({error, at: index + 1, lasts})))
        const chosen = choose(all, trials)
        const queue = chosen.values()
        const wrong: string[] = []
        const work = async (bench: FaultBench): Promise<void> => {
          for (const fault of queue) {
            const problems = await bench.try(fault)
            if (problems.length > 0) wrong.push(`${fault.lasts ? 'from' : 'at'} ${operations[fault.at - 1]}: ${problems.join('; ')}`)
          }
        }
        await Promise.all(benches.map(work))
        yield {what: `${scenario.name}: ${error} at ${operations.length} file operations, once and lasting`, trials: chosen.length, wrong}
      }
    }
  },
}

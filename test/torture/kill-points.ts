import {execFileSync, spawn} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'

import type {TestSshd} from '../support/sshd.ts'

const program = resolve(import.meta.dirname, '../../bin/run.js')

/** A command that is killed at every durable act, and what has to be true after one more run of it. */
export interface Scenario {
  readonly name: string
  /** Commands that lead up to it. */
  readonly before: readonly (readonly string[])[]
  readonly command: readonly string[]
  /** How often each step has run in the end; undefined where a second run is asked to run it again. */
  readonly runs?: number
  /** State in the end; undefined when the VM is gone. */
  readonly state?: string
}

export const scenarios: readonly Scenario[] = [
  {name: 'up, new', before: [], command: ['up'], runs: 1, state: 'running'},
  {name: 'up, stopped', before: [['up'], ['down']], command: ['up'], runs: 2, state: 'running'},
  {name: 'reload', before: [['up']], command: ['reload'], state: 'running'},
  {name: 'provision', before: [['up']], command: ['provision'], state: 'running'},
  {name: 'down', before: [['up']], command: ['down'], runs: 1, state: 'stopped'},
  {name: 'down --destroy', before: [['up']], command: ['down', '--destroy']},
]

const steps = 2

interface Outcome {
  readonly status: number | null
  readonly signal: string | null
  readonly stderr: string
}

/** One try of a scenario in directories of its own, on the noop backend with a real SSH server as the guest. */
export class Trial implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'vmctl-kill-'))
  readonly #sshd: TestSshd

  constructor(sshd: TestSshd) {
    this.#sshd = sshd
    mkdirSync(join(this.directory, 'ran'))
    writeFileSync(join(this.directory, 'motd'), 'hello\n')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', join(this.directory, 'disk.qcow2'), '1M'])
    const step = (number: number): string =>
      `provision "shell" { inline "echo ran >>'${this.directory}/ran/${number}'; echo output ${number}"; }`
    writeFileSync(
      join(this.directory, 'VMFile.kdl'),
      `vm "web" {
        image "disk.qcow2"
        ssh { user "${sshd.user}"; private-key "${sshd.keyPath}"; }
        ${step(1)}
        provision "file" { source "motd"; destination "${this.directory}/motd.copy"; }
        ${step(2)}
      }`,
    )
  }

  async run(command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    const child = spawn(process.execPath, [program, ...command], {
      cwd: this.directory,
      env: {
        ...process.env,
        NODE_ENV: '',
        VMCTL_BACKEND: 'noop',
        VMCTL_NOOP_SSH: `127.0.0.1:${this.#sshd.port}`,
        VMCTL_STATE_DIR: join(this.directory, 'state'),
        ...env,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 120_000,
    })
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    const [status, signal] = await once(child, 'close')
    return {status, signal, stderr}
  }

  /** What is wrong in the end; empty when all is well. */
  problems({runs, state}: Scenario): string[] {
    const found: string[] = []
    const vms = join(this.directory, 'state', 'vms')
    const [vm] = this.#list()
    if (vm?.state !== state) found.push(`the VM is ${vm?.state}, not ${state}`)
    for (const entry of existsSync(vms) ? readdirSync(vms) : []) if (entry.startsWith('.')) found.push(`left over: ${entry}`)
    for (const entry of existsSync(join(vms, 'web')) ? readdirSync(join(vms, 'web')) : []) {
      if (entry.startsWith('.')) found.push(`left over: web/${entry}`)
    }
    for (let step = 1; step <= steps; step++) {
      const count = readFileSync(join(this.directory, 'ran', String(step)), 'utf8')
        .trim()
        .split('\n').length
      if (runs !== undefined && count !== runs) found.push(`step ${step} ran ${count} times, not ${runs}`)
    }
    return found
  }

  #list(): readonly {readonly state: string}[] {
    const output = execFileSync(process.execPath, [program, 'list', '--json'], {
      env: {...process.env, NODE_ENV: '', VMCTL_BACKEND: 'noop', VMCTL_STATE_DIR: join(this.directory, 'state')},
      encoding: 'utf8',
    })
    return JSON.parse(output).vms
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, {recursive: true, force: true})
  }
}

const prepare = async (sshd: TestSshd, scenario: Scenario): Promise<Trial> => {
  const trial = new Trial(sshd)
  for (const command of scenario.before) {
    const {status, stderr} = await trial.run(command)
    if (status !== 0) throw new Error(`${command.join(' ')} failed: ${stderr}`)
  }
  return trial
}

/** How many durable acts a scenario's command passes. */
export const countPoints = async (sshd: TestSshd, scenario: Scenario): Promise<number> => {
  using trial = await prepare(sshd, scenario)
  const acts = join(trial.directory, 'acts')
  const {status, stderr} = await trial.run(scenario.command, {VMCTL_ACTS: acts})
  if (status !== 0) throw new Error(`${scenario.name} failed: ${stderr}`)
  return readFileSync(acts, 'utf8').trim().split('\n').length
}

/** Kills the command at one point, runs it once more, and says what is wrong then. */
export const killAt = async (sshd: TestSshd, scenario: Scenario, point: number): Promise<string[]> => {
  using trial = await prepare(sshd, scenario)
  const killed = await trial.run(scenario.command, {VMCTL_KILL_AT: String(point)})
  if (killed.signal !== 'SIGKILL') return [`the command was not killed at point ${point} (status ${killed.status})`]
  const again = await trial.run(scenario.command)
  if (again.status !== 0) return [`one more run failed with status ${again.status}: ${again.stderr}`]
  return trial.problems(scenario)
}

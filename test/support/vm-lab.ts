import {randomBytes} from 'node:crypto'
import {appendFileSync, mkdirSync, readFileSync, realpathSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join, resolve} from 'node:path'

import {expect} from 'vitest'

import type {VmStatus} from '../../src/engine/show/inspect.ts'
import {type Ended, privateEnvironment, type Running as Started, startProgram, vmctlProgram} from './vmctl-process.ts'

export {vmctlProgram}

export interface Outcome extends Ended {
  readonly command: string
}

export type Running = Started<Outcome>

export interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Words that go before `node bin/run.js`: `ip netns exec NAME`, `setpriv …`. */
  readonly prefix?: readonly string[]
  /** Octal umask of the process: `000`. */
  readonly umask?: string
  readonly timeoutMs?: number
  /** The command line, when it is not simply node, bin/run.js and the arguments. */
  readonly program?: readonly string[]
}

/** What one test has for itself: a home, a state directory, a project directory and every VM that it makes. */
export interface VmLab {
  readonly root: string
  readonly home: string
  readonly project: string
  readonly stateDirectory: string
  /** Environment of every vmctl of this test. */
  readonly env: NodeJS.ProcessEnv
  /** Starts vmctl and does not wait for it. */
  start(args: readonly string[], options?: RunOptions): Running
  /** Runs vmctl to its end, whatever that is. */
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>
  /** Like `run`, with arguments only. */
  vmctl(...args: readonly string[]): Promise<Outcome>
  /** Runs vmctl and requires success. */
  ok(...args: readonly string[]): Promise<Outcome>
  /** Runs vmctl with `--json`, requires success, and nothing but JSON on stdout. */
  json<T>(...args: readonly string[]): Promise<T>
  /** Runs vmctl with `--json`, requires failure, and returns the error object with its exit code. */
  jsonError(...args: readonly string[]): Promise<{readonly exitCode: number | null; readonly error: Readonly<Record<string, unknown>>}>
  /** `vmctl status --json`. */
  status(name: string): Promise<VmStatus>
  /** Runs a shell command line in a guest and returns its standard output, trimmed. */
  guest(name: string, command: string): Promise<string>
  /** Writes a file below the project directory. */
  write(path: string, content: string | Uint8Array, mode?: number): string
  /** Writes VMFile.kdl. */
  vmfile(text: string): void
  /** The directory of a VM. */
  directory(name: string): string
  /** The text of a file of a VM; empty when there is none. */
  read(name: string, file: string): string
}

/** Names the directories of a lab; whoever uses it makes `root`, `home` and `project`. */
export const makeLab = (name: string, stateDirectory?: (root: string) => string): VmLab => {
  const root = join(realpathSync(tmpdir()), `vmctl-e2e-${name}-${randomBytes(4).toString('hex')}`)
  const home = join(root, 'home')
  const project = join(root, 'project')
  const state = stateDirectory?.(root) ?? join(home, '.local/share/vmctl')
  const env = privateEnvironment(home, stateDirectory && {VMCTL_STATE_DIR: state})
  const note = (text: string): void => {
    appendFileSync(join(root, 'transcript.log'), `${new Date().toISOString()} ${text}\n`)
  }

  const start = (args: readonly string[], options: RunOptions = {}): Running => {
    const words = [...(options.prefix ?? []), ...(options.program ?? [process.execPath, vmctlProgram, ...args])]
    const line = options.umask === undefined ? words : ['sh', '-c', `umask ${options.umask}; exec "$@"`, 'sh', ...words]
    const running = startProgram(line, {
      cwd: options.cwd ?? project,
      env: {...env, ...options.env},
      isTyped: true,
      ...(options.timeoutMs !== undefined && {timeoutMs: options.timeoutMs}),
    })
    const command = `vmctl ${args.join(' ')}`
    note(`$ ${command} (pid ${running.pid})`)
    const outcome = running.outcome.then((ended): Outcome => {
      const {exitCode, signal, stdout, stderr} = ended
      note(`${command} (pid ${running.pid}) ended: ${signal ?? exitCode}\n--- stdout\n${stdout}--- stderr\n${stderr}---`)
      return {command, ...ended}
    })
    return {...running, outcome}
  }
  const run: VmLab['run'] = (args, options) => {
    const running = start(args, options)
    return running.outcome
  }
  const lab: VmLab = {
    root,
    home,
    project,
    stateDirectory: state,
    env,
    start,
    run,
    vmctl: (...args) => run(args),
    ok: async (...args) => expectSuccess(await run(args)),
    json: async (...args) => {
      const dashes = args.indexOf('--')
      const outcome = expectSuccess(
        await run(dashes === -1 ? [...args, '--json'] : [...args.slice(0, dashes), '--json', ...args.slice(dashes)]),
      )
      expect(outcome.stderr, `stderr of ${outcome.command}`).not.toMatch(/[\u001B\r]/)
      return JSON.parse(outcome.stdout)
    },
    jsonError: async (...args) => {
      const {exitCode, stdout, command} = await run([...args, '--json'])
      expect(exitCode, `exit status of ${command}`).not.toBe(0)
      return {exitCode, error: JSON.parse(stdout).error}
    },
    status: (vm) => lab.json<VmStatus>('status', vm),
    guest: async (vm, command) => expectSuccess(await run(['ssh', vm, '--', command])).stdout.trim(),
    write(path, content, mode = 0o644) {
      const full = resolve(project, path)
      mkdirSync(dirname(full), {recursive: true})
      writeFileSync(full, content, {mode})
      return full
    },
    vmfile: (text) => void lab.write('VMFile.kdl', text),
    directory: (vm) => join(state, 'vms', vm),
    read(vm, file) {
      try {
        return readFileSync(join(state, 'vms', vm, file), 'utf8')
      } catch {
        return ''
      }
    },
  }
  return lab
}

/** Requires that a command has succeeded; what it wrote is in the failure otherwise. */
export const expectSuccess = (outcome: Outcome): Outcome => {
  expect(
    outcome.exitCode,
    `${outcome.command} ended with ${outcome.signal ?? outcome.exitCode}\n${outcome.stdout}\n${outcome.stderr}`,
  ).toBe(0)
  return outcome
}

/** Requires that a command has failed with this exit status and, unless it was told under `--json`, this error code. */
export const expectFailure = (outcome: Outcome, exitCode: number, code: string): Outcome => {
  const all = `${outcome.command}\n${outcome.stdout}\n${outcome.stderr}`
  expect(outcome.stderr, all).toContain(`[${code}]`)
  expect(outcome.exitCode, all).toBe(exitCode)
  return outcome
}

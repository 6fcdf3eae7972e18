import {type ChildProcess, execFileSync, spawn} from 'node:child_process'
import {resolve} from 'node:path'

import {sbinPath} from './vm-lab-programs.ts'

/** The program under test, as a user has it. */
export const vmctlProgram = resolve(import.meta.dirname, '../../bin/run.js')

export interface Ended {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A program that is under way. */
export interface Running<T extends Ended = Ended> {
  readonly pid: number
  readonly outcome: Promise<T>
  /** What it has written so far. */
  readonly written: {readonly stdout: string; readonly stderr: string}
  type(text: string | Uint8Array): void
  kill(signal?: NodeJS.Signals): void
}

interface StartOptions {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  /** Whether something can be typed into it; it has no input otherwise. */
  readonly isTyped?: boolean
  /** After this time it is killed. */
  readonly timeoutMs?: number
}

/** Starts a program and does not wait for it. */
export const startProgram = (words: readonly string[], {cwd, env, isTyped = false, timeoutMs = 240_000}: StartOptions): Running => {
  const [program = '', ...rest] = words
  const child: ChildProcess = spawn(program, rest, {cwd, env, stdio: [isTyped ? 'pipe' : 'ignore', 'pipe', 'pipe']})
  const written = {stdout: '', stderr: ''}
  for (const name of ['stdout', 'stderr'] as const) child[name]?.setEncoding('utf8').on('data', (text: string) => (written[name] += text))
  child.stdin?.on('error', () => undefined)
  const limit = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const outcome = new Promise<Ended>((settle, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode, signal) => {
      clearTimeout(limit)
      settle({exitCode, signal, ...written})
    })
  })
  return {
    pid: child.pid ?? 0,
    outcome,
    written,
    type: (text) => void child.stdin?.write(text),
    kill: (signal = 'SIGKILL') => void child.kill(signal),
  }
}

/** Variables of whoever runs the tests that would change what vmctl does or says. */
const isForeign = (name: string): boolean =>
  /^(?:VMCTL_|XDG_|NODE_|VITEST|SSH_|OCLIF_|LC_|LANG|TZ$|RUST_LOG$|FORCE_COLOR$|NO_COLOR$|COLUMNS$|LINES$|DEBUG$|TERM$|(?:https?|all|no)_proxy$)/i.test(
    name,
  )

/** The environment of a vmctl that whoever runs the tests has no say in. */
export const privateEnvironment = (home: string, own: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !isForeign(name))),
  PATH: sbinPath(),
  TERM: 'dumb',
  HOME: home,
  ...own,
})

/** A disk on which there is nothing. */
export const makeDisk = (path: string, size = '1M'): string => {
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, size])
  return path
}

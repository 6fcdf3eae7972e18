import {spawn, type StdioOptions} from 'node:child_process'
import {once} from 'node:events'
import type {FileHandle} from 'node:fs/promises'

import {debug} from '../model/debug.ts'
import {type Failure, isFailure, systemCode, VmctlError} from '../model/errors.ts'
import {act, pass} from './durable.ts'
import {lastingEnvironment, programEnvironment} from './environment.ts'

export interface RunOptions {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds after which the program is killed. */
  readonly timeoutMs?: number
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
  /** Descriptors of files that it reads and writes in place of pipes. */
  readonly files?: {readonly stdin: number; readonly stdout: number}
  /** Gets the number of the process. */
  readonly onSpawn?: (pid: number) => void
  /** Gets standard output as it comes. */
  readonly onStdout?: (chunk: string) => void
  /** What to say when the program is not installed. */
  readonly notInstalled?: {readonly kind?: Failure; readonly help?: string}
}

export interface RunResult {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

const outputLimit = 8 * 2 ** 20

/**
 * Runs a program without a shell and collects its output (8 MiB at most, then it is killed).
 * Resolves whatever the exit status is; throws when the program cannot run, takes too long or is cancelled.
 */
export const run = async (program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> => {
  options.signal?.throwIfAborted()
  debug('process', () => [program, ...args].join(' '))
  return act(`run ${program} ${args[0] ?? ''}`, () => collect(program, args, options))
}

const stdioOf = ({files}: RunOptions): StdioOptions => (files ? [files.stdin, files.stdout, 'pipe'] : 'pipe')

const collect = (program: string, args: readonly string[], options: RunOptions): Promise<RunResult> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? programEnvironment(),
      stdio: stdioOf(options),
      signal: options.signal,
      killSignal: 'SIGKILL',
    })
    if (child.pid !== undefined) options.onSpawn?.(child.pid)
    const output = {stdout: '', stderr: ''}
    let size = 0
    let problem: VmctlError | undefined
    const end = (error: VmctlError): void => {
      problem ??= error
      child.kill('SIGKILL')
    }
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            end(new VmctlError('vmctl::host::program_failed', `${program} did not finish within ${options.timeoutMs} ms.`))
          }, options.timeoutMs)
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (chunk: string) => {
        size += chunk.length
        if (size > outputLimit) end(new VmctlError('vmctl::host::program_failed', `${program} printed more than 8 MiB.`))
        else output[name] += chunk
        if (name === 'stdout') options.onStdout?.(chunk)
      })
    }
    // A program that ends without reading its input closes the pipe; its exit status tells the story.
    child.stdin?.on('error', () => undefined).end(options.input ?? '')
    child.on('error', (error) => {
      clearTimeout(timer)
      if (options.signal?.aborted) reject(options.signal.reason)
      else if (systemCode(error) === 'ENOENT') reject(notInstalled(program, options, error))
      else reject(new VmctlError('vmctl::host::program_failed', `Cannot run ${program}: ${error.message}`, {cause: error}))
    })
    child.on('close', (exitCode, signal) => {
      clearTimeout(timer)
      if (problem) reject(problem)
      else resolve({exitCode, signal, ...output})
    })
  })

/**
 * Runs a program under limits of prlimit(1), such as `--cpu=10`, which hold also after this process was killed; without them
 * where prlimit is not installed.
 */
export const runUnderLimits = async (
  limits: readonly string[],
  [program = '', ...args]: readonly string[],
  options: RunOptions,
): Promise<RunResult> => {
  try {
    const {notInstalled: _help, ...rest} = options
    const result = await run('prlimit', [...limits, '--core=0', '--', program, ...args], rest)
    // Both are prlimit's own: it could not execute the program.
    if (result.exitCode !== 127 && result.exitCode !== 126) return result
  } catch (error) {
    if (!isFailure(error, 'vmctl::host::not_installed')) throw error
  }
  return run(program, args, options)
}

/** Runs a program and returns its standard output; any exit status but 0 is an error with the last lines of stderr. */
export const runOrThrow = async (program: string, args: readonly string[], options: RunOptions = {}): Promise<string> => {
  const result = await run(program, args, options)
  if (result.exitCode === 0) return result.stdout
  throw new VmctlError('vmctl::host::program_failed', `${program} ${describeExit(result)}: ${lastLines(result.stderr, 5)}`, {
    details: {program, exitCode: result.exitCode, signal: result.signal},
  })
}

export const describeExit = (result: Pick<RunResult, 'exitCode' | 'signal'>): string =>
  result.signal === null ? `ended with status ${result.exitCode}` : `was ended by ${result.signal}`

export interface DetachedProcess {
  readonly pid: number
  /** Resolves to why it ended, when it ends while this process lives. */
  readonly ended: Promise<string>
}

/**
 * Starts a program in a session of its own, so that it outlives this process and its terminal. It gets no more of the
 * environment than such programs need. What it writes is appended to a file. The files and sockets that it makes are for this user only, whatever the umask of the terminal.
 */
export const spawnDetached = async (
  program: string,
  args: readonly string[],
  {cwd, output, env}: {readonly cwd: string; readonly output: FileHandle; readonly env?: NodeJS.ProcessEnv},
): Promise<DetachedProcess> => {
  pass(`before start ${program}`)
  const mask = process.umask(0o077)
  const child = spawn(program, args, {cwd, env: env ?? lastingEnvironment(), detached: true, stdio: ['ignore', output.fd, output.fd]})
  process.umask(mask)
  pass(`after start ${program}`)
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => {
      resolve(signal === null ? `status ${code}` : signal)
    })
  })
  await once(child, 'spawn')
  child.unref()
  return {pid: child.pid ?? 0, ended}
}

/** The last lines of a text, for error messages. */
export const lastLines = (text: string, count: number): string => text.trimEnd().split('\n').slice(-count).join('\n')

const notInstalled = (program: string, options: RunOptions, cause: Error): VmctlError =>
  new VmctlError(options.notInstalled?.kind ?? 'vmctl::host::not_installed', `${program} is not installed or not on PATH.`, {
    cause,
    ...(options.notInstalled?.help === undefined ? {} : {help: options.notInstalled.help}),
  })

import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'

import {Config} from '@oclif/core/config'

import {fromSource} from './from-source.ts'
import {makeDisk} from './vmctl-process.ts'

export interface CommandResult {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
  /** Standard output as `--json` prints it. Throws when that is not one JSON document. */
  // oxlint-disable-next-line typescript/no-explicit-any -- Tests compare shapes; a wrong one fails there.
  readonly json: any
}

// A comparison lists the fields of what it was given: `json` is none of them, so that one which fails shows the output.
const result = (stdout: string, stderr: string, exitCode: number): CommandResult =>
  Object.defineProperty({stdout, stderr, exitCode} as CommandResult, 'json', {get: () => JSON.parse(stdout)})

let loading: Promise<Config> | undefined

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const exitStatusOf = (error: unknown): number => {
  const {oclif} = {oclif: undefined, ...(error as {oclif?: {exit?: number}})}
  return oclif?.exit ?? 1
}

/** Runs a command from src/ in this process: `runCommand('image', 'list', '--json')`. One at a time. */
export const runCommand = async (...words: readonly string[]): Promise<CommandResult> => {
  loading ??= Config.load(fromSource)
  const config = await loading
  const {stdout, stderr} = process
  const written = {stdout: '', stderr: ''}
  const originals = {stdout: stdout.write, stderr: stderr.write}
  const listeners = new Map(signals.map((signal) => [signal, process.listeners(signal)]))
  for (const name of ['stdout', 'stderr'] as const) {
    process[name].write = (chunk: string | Uint8Array, ...rest: readonly unknown[]) => {
      written[name] += Buffer.from(chunk as Uint8Array).toString()
      const done = rest.at(-1)
      if (typeof done === 'function') done()
      return true
    }
  }
  process.exitCode = undefined
  let exitCode: number | undefined
  try {
    const count = config.findCommand(words.slice(0, 2).join(':')) ? 2 : 1
    await config.runCommand(words.slice(0, count).join(':'), words.slice(count))
  } catch (error) {
    exitCode = exitStatusOf(error)
    if (error instanceof Error && error.constructor.name !== 'ExitError') written.stderr += `${error.message}\n`
  } finally {
    stdout.write = originals.stdout
    stderr.write = originals.stderr
    for (const [signal, before] of listeners) {
      const added = process.listeners(signal).filter((listener) => !before.includes(listener))
      added.forEach((listener) => process.off(signal, listener))
    }
    exitCode ??= process.exitCode ?? 0
    process.exitCode = undefined
  }
  return result(written.stdout, written.stderr, exitCode)
}

const program = resolve(import.meta.dirname, '../../bin/dev.js')

/** What was told, without the time at the beginning of each line. */
export const untimed = (text: string): string => text.replaceAll(/^\[ *\d+\.\ds\] /gm, '')

export interface SpawnOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Called with everything that the command has printed so far, whenever there is more. */
  readonly onOutput?: (output: {stdout: string; stderr: string}, kill: (signal: NodeJS.Signals) => void) => void
}

/** What `node` is given to run vmctl from src/. */
export const vmctlWords = ['--disable-warning=ExperimentalWarning', program] as const

/** Runs a command from src/ in a process of its own. */
export const spawnCommand = (words: readonly string[], options: SpawnOptions = {}): Promise<CommandResult> =>
  runProgram(process.execPath, [...vmctlWords, ...words], options)

/** Runs a line of bash in which `vmctl` is the one from src/. */
export const runShell = (line: string, options: SpawnOptions = {}): Promise<CommandResult> =>
  runProgram(
    'bash',
    ['-c', `vmctl() { ${[process.execPath, ...vmctlWords].map((word) => `'${word}'`).join(' ')} "$@"; }\n${line}`],
    options,
  )

const runProgram = async (executable: string, words: readonly string[], options: SpawnOptions): Promise<CommandResult> => {
  const child = spawn(executable, words, {
    cwd: options.cwd,
    env: {...process.env, ...options.env},
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = {stdout: '', stderr: ''}
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
      options.onOutput?.(output, (signal) => void child.kill(signal))
    })
  }
  const [code] = await once(child, 'close')
  return result(output.stdout, output.stderr, typeof code === 'number' ? code : -1)
}

export interface Workspace extends Disposable {
  readonly directory: string
  readonly stateDirectory: string
  readonly image: string
  /** Writes a file of the workspace and returns its path. */
  write(name: string, content: string): string
}

/** A project directory with a base image, and a state directory for the noop backend, which the environment of this process names. */
export const makeWorkspace = (): Workspace => {
  const directory = mkdtempSync(join(tmpdir(), 'vmctl-cli-'))
  const image = join(directory, 'base.qcow2')
  makeDisk(image, '16M')
  const stateDirectory = join(directory, 'state')
  mkdirSync(stateDirectory, {mode: 0o700})
  Object.assign(process.env, {VMCTL_STATE_DIR: stateDirectory, VMCTL_BACKEND: 'noop', NO_COLOR: '1'})
  for (const name of ['VMCTL_FILE', 'VMCTL_LOG', 'RUST_LOG', 'FORCE_COLOR']) delete process.env[name]
  return {
    directory,
    stateDirectory,
    image,
    write(name, content) {
      const path = join(directory, name)
      writeFileSync(path, content)
      return path
    },
    [Symbol.dispose]: () => rmSync(directory, {recursive: true, force: true}),
  }
}

import {spawn} from 'node:child_process'
import type {Readable} from 'node:stream'

import {systemCode, VmctlError} from '../model/errors.ts'
import {programEnvironment} from './environment.ts'
import {describeExit, lastLines} from './process.ts'

export interface FilterCommand {
  readonly program: string
  readonly args: readonly string[]
}

export interface FilterOptions {
  readonly signal: AbortSignal
  /** What to do when the program is not installed. */
  readonly help: string
}

const messageLimit = 4096

/**
 * Sends a stream through a program (`xz --decompress`) and yields what it prints, at the reader's pace and in constant memory.
 * @throws VmctlError `vmctl::host::not_installed`; `vmctl::host::program_failed` when it ends with another status than 0
 *   or prints a warning
 */
export async function* filter(input: Readable, {program, args}: FilterCommand, options: FilterOptions): AsyncGenerator<Buffer> {
  options.signal.throwIfAborted()
  // The C locale keeps the messages in the language of ours.
  const child = spawn(program, args, {stdio: ['pipe', 'pipe', 'pipe'], env: {...programEnvironment(), LC_ALL: 'C'}})
  let messages = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (messages.length < messageLimit) messages += text
  })
  const ended = new Promise<VmctlError | undefined>((resolve) => {
    child.on('error', (error) => {
      const missing = systemCode(error) === 'ENOENT'
      resolve(
        missing
          ? new VmctlError('vmctl::host::not_installed', `${program} is not installed or not on PATH.`, {cause: error, help: options.help})
          : new VmctlError('vmctl::host::program_failed', `Cannot run ${program}: ${error.message}`, {cause: error}),
      )
    })
    child.on('close', (exitCode, signal) => {
      if (exitCode === 0 && messages === '') resolve(undefined)
      else {
        const said = messages === '' ? describeExit({exitCode, signal}) : lastLines(messages.trim(), 2)
        resolve(new VmctlError('vmctl::host::program_failed', said, {details: {program, exitCode, signal}}))
      }
    })
  })
  let readFailure: Error | undefined
  input.on('error', (error) => {
    readFailure = error
    child.stdin.destroy()
  })
  // A program that gives up early closes the pipe; its status tells why.
  child.stdin.on('error', () => undefined)
  input.pipe(child.stdin)
  const cancel = (): void => void child.kill('SIGKILL')
  options.signal.addEventListener('abort', cancel)
  try {
    yield* child.stdout as AsyncIterable<Buffer>
    const problem = readFailure ?? (await ended)
    options.signal.throwIfAborted()
    if (problem) throw problem
  } catch (error) {
    options.signal.throwIfAborted()
    cancel()
    // When the program could not be started, its output breaks off as well; the reason is worth more.
    throw readFailure ?? (await ended) ?? error
  } finally {
    options.signal.removeEventListener('abort', cancel)
    input.destroy()
    cancel()
  }
}

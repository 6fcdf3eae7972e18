import {spawn} from 'node:child_process'
import {constants} from 'node:os'
import type {Duplex} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {isatty} from 'node:tty'

import {systemCode, VmctlError} from '../model/errors.ts'
import {debug} from '../model/debug.ts'
import {programEnvironment} from './environment.ts'

export interface InteractiveOptions {
  /** What to do where there is no such program. */
  readonly help: string
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>
  /** Whether what it prints goes to standard error. */
  readonly quiet?: boolean | undefined
}

/**
 * Hands the terminal over to a program until it ends. Ctrl+C is the program's business then; SIGTERM and SIGHUP, which may be sent
 * to this process alone, are passed on.
 * @returns its exit status; 128 and the number of the signal when one has ended it, or when it was interrupted and could say no more
 *   than that it failed (255, as ssh(1) has it)
 */
export const runInteractive = (program: string, args: readonly string[], {help, env, quiet = false}: InteractiveOptions): Promise<number> =>
  new Promise((resolve, reject) => {
    debug('process', () => [program, ...args].join(' '))
    const child = spawn(program, args, {stdio: ['inherit', quiet ? 2 : 'inherit', 'inherit'], env: {...programEnvironment(), ...env}})
    let received: NodeJS.Signals | undefined
    const interrupt = (): void => {
      received ??= 'SIGINT'
    }
    const passOn = (signal: NodeJS.Signals): void => {
      received ??= signal
      child.kill(signal)
    }
    process.on('SIGINT', interrupt).on('SIGTERM', passOn).on('SIGHUP', passOn)
    const settle = (finish: () => void): void => {
      process.off('SIGINT', interrupt).off('SIGTERM', passOn).off('SIGHUP', passOn)
      finish()
    }
    child.once('error', (error) => {
      settle(() => {
        reject(
          systemCode(error) === 'ENOENT'
            ? new VmctlError('vmctl::host::not_installed', `${program} is not installed or not on PATH.`, {cause: error, help})
            : new VmctlError('vmctl::host::program_failed', `Cannot run ${program}: ${error.message}`, {cause: error}),
        )
      })
    })
    child.once('exit', (code, signal) => {
      settle(() => {
        const ended = signal ?? (code === 255 ? received : undefined)
        resolve(ended === undefined ? (code ?? 255) : 128 + constants.signals[ended])
      })
    })
  })

/** Whether a person sits at both ends of this process. The descriptors are asked, because a stream that Node opens for one may read from it. */
export const isTerminal = (): boolean => isatty(0) && isatty(1)

/** Joins standard input and output of this process to a stream, until the other side has ended. */
export const joinStandardStreams = async (stream: Duplex, signal: AbortSignal): Promise<void> => {
  const input = pipeline(process.stdin, stream, {signal})
  // Who reads no more on the other side has said so by its end.
  input.catch(() => undefined)
  try {
    await pipeline(stream, process.stdout, {signal, end: false})
  } finally {
    process.stdin.destroy()
    stream.destroy()
  }
}

import {exitCodes, reasonOf, systemCode, VmctlError} from '../model/errors.ts'
import {formatError} from './diagnostics.ts'

/** What becomes of standard output and standard error, from the first moment of the process to its last. */
export interface Outputs {
  /** Whether an error is one of a stream, which is dealt with here. */
  owns(error: unknown): boolean
  /** Waits until everything is written. What could not be is an error, and the exit status of a command that has not failed anyway. */
  finish(): Promise<void>
}

/**
 * Takes charge of what goes wrong with both outputs. A reader that has gone (`vmctl list | head -1`) is no error: what it would
 * have read is dropped. A file that takes no more is told at the end. What standard error cannot take is lost, because there is
 * no other place for it.
 */
export const watchOutputs = (): Outputs => {
  const seen = new WeakSet<object>()
  let failure: Error | undefined
  let isBroken = false
  for (const stream of [process.stdout, process.stderr]) {
    stream.setMaxListeners(0)
    // Before oclif's listener, which throws what it does not know.
    stream.prependListener('error', (error) => {
      seen.add(error)
      if (stream === process.stdout && systemCode(error) !== 'EPIPE') failure ??= error
      dropAll(stream)
      isBroken = true
    })
  }
  return {
    owns: (error) => typeof error === 'object' && error !== null && seen.has(error),
    async finish() {
      await flush(process.stdout)
      if (failure) {
        process.exitCode ||= exitCodes.host
        process.stderr.write(formatError(unwritable(failure), {colour: false}))
      }
      await flush(process.stderr)
      // A write that was under way on a terminal that has gone would keep the process for ever.
      if (isBroken) process.exit()
    },
  }
}

/** Node's standard streams survive an error, but do not always say any longer what became of a write. */
const dropAll = (stream: NodeJS.WriteStream): void => {
  stream.write = (_chunk: unknown, ...rest: readonly unknown[]): boolean => {
    const done = rest.at(-1)
    if (typeof done === 'function') setImmediate(() => void done())
    return true
  }
}

const unwritable = (cause: Error): VmctlError =>
  new VmctlError('vmctl::io', `Cannot write to standard output: ${reasonOf(cause)}.`, {
    help: 'Free some room, or send the output to another place.',
  })

const flush = async (stream: NodeJS.WriteStream): Promise<void> => {
  // To write nothing is an error too where there is no room.
  if (stream.writableLength > 0) await send(stream, '', () => false)
  // An error of the last write is told in the next turn.
  else await new Promise((resolve) => setImmediate(resolve))
}

/** Writes, and resolves when the stream is ready for more: also when it takes nothing any longer. */
export const write = (stream: NodeJS.WriteStream, chunk: string | Uint8Array): Promise<void> => send(stream, chunk, (isReady) => isReady)

const send = (stream: NodeJS.WriteStream, chunk: string | Uint8Array, isEnough: (isReady: boolean) => boolean): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      stream.off('error', done)
      resolve()
    }
    stream.prependOnceListener('error', done)
    if (isEnough(stream.write(chunk, done))) done()
  })

/** Why a command that only prints has stopped: nobody reads what it prints, or it cannot be written. */
export class OutputEnded extends Error {
  constructor() {
    super('Standard output takes nothing any longer.')
  }
}

/** Aborted, with `OutputEnded`, as soon as something could not be written to standard output. */
export const whileOutputLasts = (): Disposable & {readonly signal: AbortSignal} => {
  const controller = new AbortController()
  const end = (): void => controller.abort(new OutputEnded())
  process.stdout.prependOnceListener('error', end)
  return {signal: controller.signal, [Symbol.dispose]: () => process.stdout.off('error', end)}
}

import type {Readable} from 'node:stream'

import type {ClientChannel} from 'ssh2'

import {VmctlError} from '../../model/errors.ts'
import type {ExecExit, ExecOptions} from '../../model/exec.ts'
import {formatDuration} from '../../model/quantity.ts'
import {markedOutput} from './begin-mark.ts'
import {notBegun} from './shell-start.ts'

/** How it is seen that the login shell has come past its start-up files and runs the command. */
export interface Beginning {
  /** The line that the command writes first, to both outputs; a command that writes none has begun when it was accepted. */
  readonly mark: string | undefined
  readonly user: string
  /** Milliseconds after which `onSlow` is called, and after which the command is given up. */
  readonly slowMs: number
  readonly limitMs: number
  readonly onSlow: () => void
}

export interface ChannelLife {
  readonly beginning: Beginning
  /** How long the output may stay silent after the program has ended, while something in the guest holds it open. */
  readonly graceMs: number
  /** Registers what is to happen when the connection is gone; the result takes it back. */
  readonly onLost: (action: (error: Error) => void) => () => void
}

/**
 * Follows one program to its end.
 *
 * It must be called in the same turn in which ssh2 hands the channel over, or events would be missed.
 * The end is the channel's `close` with both streams drained: `exit` alone comes before the last bytes
 * in a few of a hundred runs, and with an unread stream `close` never comes.
 *
 * What start-up files say before the command begins is no output of it, and what they read is no input: that waits for the mark.
 */
export const followChannel = (channel: ClientChannel, options: ExecOptions, {beginning, graceMs, onLost}: ChannelLife): Promise<ExecExit> =>
  new Promise((resolve, reject) => {
    const {stdin, signal, aheadBytes = 0} = options
    const stdout = markedOutput(beginning.mark)
    const stderr = markedOutput(beginning.mark)
    const outputs = [
      {stream: channel as Readable, marked: stdout, take: options.onStdout},
      {stream: channel.stderr, marked: stderr, take: options.onStderr},
    ]
    let exit: ExecExit | undefined
    let closed = false
    let open = outputs.length
    let taking = 0
    let takingBytes = 0
    let settled = false
    let quiet: NodeJS.Timeout | undefined

    const settle = (action: () => void): void => {
      if (settled) return
      settled = true
      clearTimeout(quiet)
      clearTimeout(slow)
      clearTimeout(limit)
      forget()
      signal?.removeEventListener('abort', onAbort)
      if (isStream(stdin)) {
        stdin.unpipe(channel)
        stdin.destroy()
      }
      channel.close()
      // Whatever still comes is dropped, so that the channel can end.
      for (const {stream} of outputs) stream.removeAllListeners('data').resume()
      action()
    }
    const fail = (error: unknown): void => settle(() => reject(error))
    const failBegin = (how: string): void => fail(notBegun({user: beginning.user, how, stdout: stdout.said(), stderr: stderr.said()}))
    const conclude = (result: ExecExit): void => {
      // A signal is how a session ends when sshd is restarted or the guest goes down.
      if (stdout.isBegun() || result.code === null) settle(() => resolve(result))
      else failBegin(`ended with status ${result.code}`)
    }
    const slow = setTimeout(beginning.onSlow, beginning.slowMs)
    const limit = setTimeout(() => failBegin(`did not come to them within ${formatDuration(beginning.limitMs)}`), beginning.limitMs)
    const finish = (): void => {
      if (!closed || open > 0 || taking > 0) return
      const result = exit
      if (result) conclude(result)
      else fail(lost('The connection to the guest ended before the result of the command was known.'))
    }
    const awaitQuiet = (): void => {
      const result = exit
      // A status that comes after a failed delivery would wait for the failed one for ever.
      if (!result || settled) return
      clearTimeout(quiet)
      quiet = setTimeout(() => {
        const idle = taking === 0 && outputs.every(({stream}) => stream.readableLength === 0)
        if (idle) conclude(result)
        else awaitQuiet()
      }, graceMs)
    }
    const onAbort = (): void => fail(signal?.reason)
    const forget = onLost(fail)

    const taken = (bytes: number): void => {
      taking--
      takingBytes -= bytes
      if (settled) return
      if (takingBytes <= aheadBytes) for (const {stream} of outputs) stream.resume()
      finish()
    }
    for (const {stream, marked, take} of outputs) {
      stream.on('data', (all: Buffer) => {
        awaitQuiet()
        try {
          const wasBegun = stdout.isBegun()
          const chunk = marked.take(all)
          if (!wasBegun && stdout.isBegun()) begin()
          if (!chunk) return
          const pending = take?.(chunk)
          if (!pending) return
          taking++
          takingBytes += chunk.length
          // Both streams wait: they share one window, and ssh2 would reopen it for either.
          if (takingBytes > aheadBytes) for (const output of outputs) output.stream.pause()
          pending.then(() => taken(chunk.length), fail)
        } catch (error) {
          fail(error)
        }
      })
      stream.on('end', () => {
        open--
        finish()
      })
      stream.on('error', fail)
    }
    channel.on('exit', (code: number | null, name?: string) => {
      exit ??= {code, signal: code === null ? (name ?? 'unknown') : null}
      awaitQuiet()
    })
    channel.on('close', () => {
      closed = true
      finish()
    })
    const begin = (): void => {
      clearTimeout(slow)
      clearTimeout(limit)
      if (isStream(stdin)) stdin.pipe(channel)
      else if (stdin !== undefined) channel.end(stdin)
    }
    if (isStream(stdin)) {
      const endEarly = (): void => {
        if (!stdin.readableEnded) fail(stdin.errored ?? new Error('The input of the command ended too early.'))
      }
      stdin.on('error', fail)
      stdin.on('close', endEarly)
      if (stdin.destroyed) endEarly()
    } else if (stdin === undefined) {
      channel.end()
    }
    signal?.addEventListener('abort', onAbort)
    if (beginning.mark === undefined) begin()
    if (signal?.aborted) onAbort()
  })

export const lost = (message: string, cause?: unknown): VmctlError => new VmctlError('vmctl::ssh::connection_lost', message, {cause})

const isStream = (input: ExecOptions['stdin']): input is Readable => typeof input === 'object' && 'pipe' in input

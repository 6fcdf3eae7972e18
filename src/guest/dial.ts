import type {Duplex} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'

import {isVmctlError, messageOf, VmctlError} from '../model/errors.ts'
import {awaitGreeting} from './greeting.ts'

/** Makes a connection to the SSH port of the guest, wherever that is. */
export type Dial = (signal: AbortSignal) => Promise<Duplex>

export interface GreetedOptions {
  readonly dial: Dial
  readonly onConnected: () => void
  /** Gets every attempt that failed. */
  readonly onFailure: (error: VmctlError) => void
  readonly signal: AbortSignal
}

// The first packet to a guest without a network is lost and sent again after seconds, so a fresh connection is made
// every second; but a slow guest may need longer to greet, so the older ones stay open for a while.
const timing = {pauseMs: {first: 50, longest: 500, growth: 1.5}, silenceMs: 1000, greetingMs: 5000} as const

/**
 * Dials until somebody greets, and returns that connection. Only `signal` ends it, or somebody who speaks another protocol.
 * The pause after a refusal grows from 50 to 500 ms.
 */
export const greetedStream = async ({dial, onConnected, onFailure, signal}: GreetedOptions): Promise<Duplex> => {
  const others = new AbortController()
  const either = AbortSignal.any([signal, others.signal])
  const first = Promise.withResolvers<Duplex>()
  first.promise.catch(() => undefined)
  let won = false

  const attempt = async (): Promise<undefined> => {
    let stream: Duplex | undefined
    try {
      stream = await dial(either)
      if (!either.aborted) onConnected()
      await awaitGreeting(stream, {timeoutMs: timing.greetingMs, signal: either})
      if (won) throw new Error('another connection was first')
      won = true
      first.resolve(stream)
    } catch (error) {
      stream?.destroy()
      if (isVmctlError(error) && error.details.permanent === true) first.reject(error)
      if (!either.aborted)
        onFailure(
          isVmctlError(error)
            ? error
            : new VmctlError('vmctl::ssh::unreachable', `No connection to the SSH port: ${messageOf(error)}.`, {cause: error}),
        )
    }
    return undefined
  }

  try {
    for (let pauseMs: number = timing.pauseMs.first; ; pauseMs = Math.min(timing.pauseMs.longest, pauseMs * timing.pauseMs.growth)) {
      signal.throwIfAborted()
      const silent = sleep(timing.silenceMs, undefined, {signal: either})
      const stream =
        (await Promise.race([first.promise, attempt(), silent])) ??
        (await Promise.race([first.promise, sleep(pauseMs, undefined, {signal: either})]))
      if (stream) return stream
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    others.abort()
  }
}

import type {Duplex} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'

import {isVmctlError, messageOf, VmctlError, factsOf} from '../../model/errors.ts'
import {awaitGreeting} from '../ssh/greeting.ts'

/** Makes a connection to the SSH port of the guest, wherever that is. */
export type Dial = (signal: AbortSignal) => Promise<Duplex>

export interface GreetedOptions {
  readonly dial: Dial
  /** Whether the network of the guest has accepted the connection; undefined when that cannot be known. */
  readonly isAccepted?: (() => Promise<boolean | undefined>) | undefined
  readonly onConnected: () => void
  /** Gets every attempt that failed. */
  readonly onFailure: (error: VmctlError) => void
  readonly signal: AbortSignal
}

/**
 * A user-mode network accepts a connection before the guest has an address; the packet that opens it is lost then, and sent again
 * only after seconds: such a connection is replaced after `unheardMs`. One that the guest has accepted is waited on, for each costs it a
 * process: sshd of a busy guest may need long to greet. Where nobody can tell the two apart the patience grows.
 */
const timing = {
  pauseMs: {first: 50, longest: 500, growth: 1.5},
  unheardMs: 1000,
  acceptedMs: 60_000,
  unknownMs: [5500, 10_000, 20_000, 30_000],
} as const

/**
 * Dials until somebody greets, one connection at a time, and returns that connection. Only `signal` ends it, or somebody who speaks
 * another protocol. The pause after a refusal grows from 50 to 500 ms.
 */
export const greetedStream = async ({dial, isAccepted, onConnected, onFailure, signal}: GreetedOptions): Promise<Duplex> => {
  let pauseMs: number = timing.pauseMs.first
  for (let silences = 0; ;) {
    signal.throwIfAborted()
    let stream: Duplex | undefined
    try {
      stream = await dial(signal)
      onConnected()
      await greeted(stream, {isAccepted, signal, unknownMs: timing.unknownMs[silences] ?? timing.unknownMs.at(-1) ?? 0})
      return stream
    } catch (error) {
      stream?.destroy()
      signal.throwIfAborted()
      if (factsOf(error).retry === 'never') throw error
      const failure = isVmctlError(error)
        ? error
        : new VmctlError('vmctl::ssh::unreachable', `No connection to the SSH port: ${messageOf(error)}.`, {cause: error})
      onFailure(failure)
      if (failure.facts.retry === 'now') silences++
      else {
        await sleep(pauseMs, undefined, {signal}).catch(() => signal.throwIfAborted())
        pauseMs = Math.min(timing.pauseMs.longest, pauseMs * timing.pauseMs.growth)
      }
    }
  }
}

/** Waits for the greeting as long as it makes sense on this connection. */
const greeted = async (
  stream: Duplex,
  {isAccepted, signal, unknownMs}: {isAccepted: GreetedOptions['isAccepted']; signal: AbortSignal; unknownMs: number},
): Promise<void> => {
  const patience = new AbortController()
  const greeting = awaitGreeting(stream, {timeoutMs: timing.acceptedMs, signal: AbortSignal.any([signal, patience.signal])})
  greeting.catch(() => undefined)
  const started = performance.now()
  const silent = (): void =>
    patience.abort(
      new VmctlError('vmctl::ssh::unreachable', `SSH did not greet within ${Math.round(performance.now() - started)} ms.`, {
        retry: 'now',
      }),
    )
  const impatience = async (): Promise<void> => {
    for (;;) {
      await sleep(timing.unheardMs, undefined, {signal: patience.signal})
      const accepted = await isAccepted?.()
      if (accepted === false || (accepted === undefined && performance.now() - started >= unknownMs)) {
        silent()
        return
      }
    }
  }
  impatience().catch(() => undefined)
  try {
    await greeting
  } finally {
    patience.abort()
  }
}

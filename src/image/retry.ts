import {setTimeout as sleep} from 'node:timers/promises'

import {HttpFailure, type HttpOptions} from './http-client.ts'

export interface RetryOptions extends Pick<HttpOptions, 'retries' | 'retryDelayMs'> {
  readonly signal: AbortSignal
  /** Bytes so far; 4 KiB more than ever before forgive the failures so far. */
  readonly progress: () => number
  readonly onRetry?: ((reason: string) => void) | undefined
}

const minProgress = 4096
const maxDelayMs = 15_000
/** A server that wants more patience than this is told off to the user instead. */
const maxServerDelayMs = 120_000

/** Repeats a step on failures that may pass, with exponential back-off and jitter or when the server says. */
export const withRetries = async <T>(step: () => Promise<T>, options: RetryOptions): Promise<T> => {
  const limit = options.retries ?? 5
  const start = options.progress()
  let furthest = start
  for (let failures = 1; ; failures++) {
    try {
      return await step()
    } catch (error) {
      options.signal.throwIfAborted()
      const reached = options.progress()
      if (!isWorthRetrying(error, reached > start)) throw error
      // Only bytes never seen before count, and not a trickle of them, or a bad server would be asked for ever.
      if (reached - furthest >= minProgress) {
        failures = 1
        furthest = reached
      }
      if (failures > limit) throw error
      const backOffMs = Math.min((options.retryDelayMs ?? 500) * 2 ** (failures - 1), maxDelayMs)
      const delayMs = Math.max(error.afterMs ?? 0, backOffMs * (0.75 + Math.random() / 2))
      options.onRetry?.(`${error.message} Trying again in ${(delayMs / 1000).toFixed(1)} s.`)
      await sleep(delayMs, undefined, {signal: options.signal}).catch(() => options.signal.throwIfAborted())
    }
  }
}

const isWorthRetrying = (error: unknown, hasProgressed: boolean): error is HttpFailure =>
  error instanceof HttpFailure &&
  (error.retry === 'yes' || (error.retry === 'if-progress' && hasProgressed)) &&
  (error.afterMs ?? 0) <= maxServerDelayMs

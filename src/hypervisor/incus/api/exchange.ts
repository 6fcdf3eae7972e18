import {Readable} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'

import {isFailure, VmctlError} from '../../../model/errors.ts'
import type {Notify} from '../../hypervisor.ts'
import {isPassing, reasonIn, type Refusal, refusalIn, type Silence, silenceError, silenceOf} from './failure.ts'
import {answerMs, type Wire, WrongServer} from './wire.ts'
import {incusFailures} from '../failures.ts'

export type Query = Readonly<Record<string, string | undefined>>

/** A request, whatever server answers it. */
export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From `/1.0`, as `at` makes it. */
  readonly path: string
  readonly query?: Query | undefined
  /** What is sent, as JSON. */
  readonly json?: unknown
  /** What is sent as it is, made anew for each attempt. */
  readonly body?: () => Readable | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  /** What is being done, in words that fit behind "could not": `create the instance "web1"`. */
  readonly doing: string
  readonly signal: AbortSignal
  readonly notify?: Notify | undefined
  /** Whether it may be sent twice though it is no GET: when the second time changes nothing. */
  readonly repeatable?: boolean
  /** Seconds that the server is asked to wait before it answers. */
  readonly waitSeconds?: number
}

/** What a server said, before anybody has looked at it. */
export interface Answer {
  readonly wire: Wire
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Readable
}

export interface ExchangeOptions {
  /** Milliseconds for which what may pass is waited for. */
  readonly patienceMs: number
}

/** The request may have been carried out, and its answer is lost. */
export class AnswerLost extends Error {
  readonly silence: Silence
  readonly server: string
  constructor(server: string, silence: Silence) {
    super('the answer is lost', {cause: silence.error})
    this.server = server
    this.silence = silence
  }
}

/** Sends requests to whichever member answers. */
export interface Exchange {
  /**
   * @throws AnswerLost for a request that must not be repeated blindly
   * @throws VmctlError `vmctl::incus::unreachable`, `vmctl::incus::not_ready`, `vmctl::incus::wrong_server`, `vmctl::incus::not_incus`
   */
  send(call: Call): Promise<Answer>
  /** The member that has answered last. */
  current(): Wire
}

type Attempt = {readonly answer: Answer} | {readonly silence: Silence} | {readonly refusal: Refusal}

const firstDelayMs = 200
const longestDelayMs = 5000

export const openExchange = (wires: readonly Wire[], {patienceMs}: ExchangeOptions): Exchange => {
  let preferred = 0
  const wireAt = (offset: number): Wire => {
    const wire = wires[(preferred + offset) % wires.length]
    if (!wire) throw new Error('an Incus server has no address')
    return wire
  }

  /** Asks one member after the other, once. */
  const round = async (call: Call): Promise<{readonly answer: Answer} | {readonly troubles: readonly Trouble[]}> => {
    const troubles: Trouble[] = []
    const start = preferred
    for (let offset = 0; offset < wires.length; offset++) {
      const wire = wires[(start + offset) % wires.length]
      if (!wire) continue
      const attempt = await attemptAt(wire, call)
      if ('answer' in attempt) {
        preferred = (start + offset) % wires.length
        return attempt
      }
      if ('silence' in attempt && attempt.silence.mayHaveArrived && !mayRepeat(call)) throw new AnswerLost(wire.name, attempt.silence)
      troubles.push({wire, ...attempt})
    }
    return {troubles}
  }

  return {
    current: () => wireAt(0),
    async send(call) {
      const end = Date.now() + patienceMs
      for (let delayMs = firstDelayMs, told = false; ; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
        const result = await round(call)
        if ('answer' in result) return result.answer
        if (Date.now() + delayMs > end || !result.troubles.some(passes)) throw troubleError(call, result.troubles)
        // A daemon that restarts is back within a second; what takes longer is worth a word.
        if (!told && delayMs > 2 * firstDelayMs) {
          told = true
          call.notify?.(`${troubleText(result.troubles)}; trying for up to ${Math.ceil((end - Date.now()) / 1000)} s more`)
        }
        await sleep(delayMs * (0.75 + Math.random() / 2), undefined, {signal: call.signal}).catch(() => call.signal.throwIfAborted())
      }
    },
  }
}

type Trouble = {readonly wire: Wire} & ({readonly silence: Silence} | {readonly refusal: Refusal})

const passes = (trouble: Trouble): boolean => 'refusal' in trouble || trouble.silence.passes

const mayRepeat = ({method = 'GET', repeatable = method !== 'POST'}: Call): boolean => repeatable

const troubleText = (troubles: readonly Trouble[]): string =>
  troubles
    .map((trouble) => `${trouble.wire.name}: ${'refusal' in trouble ? trouble.refusal.message : reasonIn(trouble.silence.error)}`)
    .join('; ')

/** Of several reasons the one that the user has to know of first. */
const troubleError = (call: Call, troubles: readonly Trouble[]): VmctlError => {
  const wrong = troubles.find((trouble) => 'silence' in trouble && trouble.silence.error instanceof WrongServer)
  const refused = troubles.find((trouble) => 'refusal' in trouble)
  if (wrong && 'silence' in wrong) return silenceError(wrong.wire.name, call.doing, wrong.silence)
  if (refused) {
    return new VmctlError(incusFailures.notReady, `The Incus server could not ${call.doing}: ${troubleText(troubles)}.`, {
      details: {servers: troubles.map(({wire}) => wire.name)},
      retry: 'later',
    })
  }
  const [first] = troubles
  if (!first || !('silence' in first)) throw new Error('no server was asked')
  const error = silenceError(first.wire.name, call.doing, first.silence)
  return troubles.length > 1 && isFailure(error, incusFailures.unreachable)
    ? error.reword({message: `Cannot ${call.doing}: no member of the Incus cluster can be reached: ${troubleText(troubles)}.`})
    : error
}

const attemptAt = async (wire: Wire, call: Call): Promise<Attempt> => {
  call.signal.throwIfAborted()
  const {request} = await import('undici')
  try {
    const {method = 'GET', waitSeconds} = call
    const {statusCode, headers, body} = await request(`${wire.origin}${pathOf(call)}`, {
      dispatcher: waitSeconds === undefined ? wire.calls : wire.waits,
      method,
      signal: call.signal,
      headers: {...(call.json !== undefined && {'content-type': 'application/json'}), ...call.headers},
      body: call.json === undefined ? (call.body?.() ?? null) : JSON.stringify(call.json),
      headersTimeout: answerMs + (waitSeconds ?? 0) * 1000,
    })
    const answer: Answer = {wire, status: statusCode, headers, body}
    if (statusCode < 500) return {answer}
    return failing(answer, await body.text())
  } catch (error) {
    call.signal.throwIfAborted()
    return {silence: silenceOf(error)}
  }
}

/** An answer of failure that may pass is told from one that will not by its words. */
const failing = (answer: Answer, text: string): Attempt => {
  const refusal = refusalIn(text) ?? {status: answer.status, message: `status ${answer.status}`}
  return isPassing(refusal) ? {refusal} : {answer: {...answer, body: Readable.from([Buffer.from(text)])}}
}

/** The path and query as they are sent. What is undefined is left out. */
export const pathOf = ({path, query = {}}: Pick<Call, 'path' | 'query'>): string => {
  const parameters = Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${encodeURIComponent(value)}`]))
  return parameters.length === 0 ? path : `${path}?${parameters.join('&')}`
}

/** `at('instances', 'web1')` is `/1.0/instances/web1`, whatever is in the names. */
export const at = (...segments: readonly string[]): string => ['/1.0', ...segments.map(encodeURIComponent)].join('/')

import {setTimeout as sleep} from 'node:timers/promises'

import {VmctlError} from '../../../model/errors.ts'
import type {Notify} from '../../hypervisor.ts'
import {refusalError} from './failure.ts'
import type {Call} from './exchange.ts'
import {anything, dictionary, flag, number, optional, type Reader, shape, text} from './read.ts'
import {incusFailures} from '../failures.ts'

/** What a server does after it has answered. */
export interface Operation {
  readonly id: string
  /** Below 200 it is at work; 200 done; 400 failed; 401 cancelled. */
  readonly statusCode: number
  /** Why it has failed, else empty. */
  readonly err: string
  readonly metadata: Readonly<Record<string, unknown>>
  readonly mayCancel: boolean
}

interface Wire {
  readonly id: string
  readonly status_code: number
  readonly err: string | undefined
  readonly metadata: Readonly<Record<string, unknown>>
  readonly may_cancel: boolean | undefined
}

const wire = shape<Wire>({
  id: text,
  status_code: number,
  err: optional(text),
  metadata: dictionary(anything),
  may_cancel: optional(flag),
})

export const operation: Reader<Operation> = (value, where) => {
  const {id, status_code: statusCode, err = '', metadata, may_cancel: mayCancel = false} = wire(value, where)
  return {id, statusCode, err, metadata, mayCancel}
}

/** Where an operation is, apart from its query: one that another member has names its project. */
export interface OperationPlace {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
}

export const placeOf = (address: string): OperationPlace => {
  const {pathname, searchParams} = new URL(address, 'http://incus')
  return {path: pathname, query: Object.fromEntries(searchParams)}
}

/** One look at an operation: what it says, that nobody knows it any more, or that it could not be said in time. */
export type Look = {readonly type: 'seen'; readonly operation: Operation} | {readonly type: 'gone'} | {readonly type: 'no-answer'}

/** How operations are asked about. */
export interface Asker {
  look(call: Call): Promise<Look>
  cancel(call: Call): Promise<void>
}

export interface WaitOptions {
  readonly doing: string
  readonly signal: AbortSignal
  readonly notify?: Notify | undefined
  /** Milliseconds; five minutes when absent. */
  readonly timeoutMs?: number | undefined
  /** The server that was asked, for messages. */
  readonly server: string
  /** What hears of its end; without it, or when it hears nothing any more, the server is asked to wait. */
  readonly watch?: Listener | undefined
}

/** See `Watch`. */
interface Listener {
  ended(id: string, ms: number, signal: AbortSignal): Promise<Operation | undefined>
  readonly hears: boolean
}

const sliceMs = 30_000
const usualMs = 300_000
const cancelMs = 5000

/**
 * Waits until an operation has ended. One whose time is up, or whose waiting was refused, is looked at again before anything is
 * concluded. When the command is interrupted it is cancelled, if it can be.
 * @returns undefined when the server has forgotten it, so that only the thing itself can tell what came of it
 * @throws VmctlError for what has failed, as `refusalError`; `vmctl::incus::timed_out`
 */
export const awaitOperation = async (asker: Asker, place: OperationPlace, options: WaitOptions): Promise<Operation | undefined> => {
  try {
    return await untilEnded(asker, place, options)
  } catch (error) {
    if (options.signal.aborted) await cancel(asker, place)
    throw error
  }
}

const untilEnded = async (asker: Asker, place: OperationPlace, options: WaitOptions): Promise<Operation | undefined> => {
  const {doing, signal, timeoutMs = usualMs, server} = options
  const end = Date.now() + timeoutMs
  for (;;) {
    const look = await lookFor(asker, place, {...options, ms: Math.min(end - Date.now(), sliceMs)})
    if (look.type === 'gone') return undefined
    if (look.type === 'seen' && look.operation.statusCode >= 200) return ended(look.operation, options)
    if (Date.now() >= end) {
      throw new VmctlError(
        incusFailures.timedOut,
        `The Incus server ${server} has not managed within ${Math.round(timeoutMs / 1000)} s to ${doing}.`,
        {details: {server, operation: place.path}},
      )
    }
    // A server that answers at once is not to be asked without end.
    await sleep(50, undefined, {signal}).catch(() => signal.throwIfAborted())
  }
}

/** Waits for the end, for some milliseconds, and looks then. */
const lookFor = async (asker: Asker, place: OperationPlace, options: WaitOptions & {readonly ms: number}): Promise<Look> => {
  const {doing, signal, notify, watch, ms} = options
  const ask = (call: Pick<Call, 'path' | 'query' | 'waitSeconds'>): Promise<Look> => asker.look({doing, signal, notify, ...call})
  if (watch?.hears === true) {
    const heard = await watch.ended(place.path.split('/').at(-1) ?? '', ms, signal)
    return heard ? {type: 'seen', operation: heard} : ask(place)
  }
  const waitSeconds = Math.max(1, Math.ceil(ms / 1000))
  const waited = await ask({path: `${place.path}/wait`, query: {...place.query, timeout: String(waitSeconds)}, waitSeconds})
  // It says no alike when the operation failed and when its own time was up.
  return waited.type === 'no-answer' ? ask(place) : waited
}

const ended = (seen: Operation, {server, doing}: WaitOptions): Operation => {
  if (seen.statusCode === 200) return seen
  const cancelled = seen.statusCode === 401 && seen.err === ''
  throw refusalError(server, doing, {status: 500, message: cancelled ? 'it was cancelled there' : seen.err})
}

/** The command ends anyway, so nothing of this is waited for long, and no failure of it matters. */
const cancel = (asker: Asker, place: OperationPlace): Promise<void> =>
  asker.cancel({...place, method: 'DELETE', doing: 'cancel the operation', signal: AbortSignal.timeout(cancelMs)}).catch(() => undefined)

import {text as textOf} from 'node:stream/consumers'

import {isFailure, VmctlError} from '../../../model/errors.ts'
import {type Answer, AnswerLost, type Call, type Exchange, openExchange, pathOf, type Query} from './exchange.ts'
import {refusalError, refusalIn, type Refusal} from './failure.ts'
import {type Asker, awaitOperation, type Look, operation, type Operation, placeOf} from './operation.ts'
import type {Reader} from './read.ts'
import {openSocket, type Socket} from './socket.ts'
import {openWatch} from './watch.ts'
import {openWire, type ServerAddress, type WireOptions} from './wire.ts'
import {incusFailures} from '../failures.ts'

export {at, type Call, type Query} from './exchange.ts'

export interface IncusOptions extends WireOptions {
  /** Every address of the server: of a cluster those of its members. The next one is asked when one does not answer. */
  readonly addresses: readonly ServerAddress[]
  /** The project of every call that names none. */
  readonly project?: string | undefined
  /** Milliseconds for which what may pass (no connection, no leader) is waited for; 75 s when absent. */
  readonly patienceMs?: number
}

/** A call that changes something. */
export interface Change extends Call {
  /** Milliseconds for the operation that follows; five minutes when absent. */
  readonly timeoutMs?: number
  /**
   * Looks whether it was done after all, when the answer is lost or the server has forgotten the operation.
   * @returns what the operation would have said, or undefined when it was not done
   */
  readonly lookUp?: (() => Promise<Readonly<Record<string, unknown>> | undefined>) | undefined
}

/** What a server has said of a thing, with the mark by which a change says what it is based on. */
export interface Tagged<T> {
  readonly value: T
  readonly etag: string | undefined
}

/** An operation that was begun and is at work. */
export interface Begun {
  readonly operation: Operation
  /** For `socket`. */
  readonly path: string
  readonly query: Query
  /** As `run`. */
  ended(options?: {readonly timeoutMs?: number}): Promise<Readonly<Record<string, unknown>>>
}

/**
 * The REST API of an Incus server or cluster. Each method throws `vmctl::incus::…`: `unreachable`, `not_ready` and `wrong_server`
 * when there is no answer, or what the server refused.
 */
export interface IncusClient extends AsyncDisposable {
  get<T>(call: Call, read: Reader<T>): Promise<T>
  getTagged<T>(call: Call, read: Reader<T>): Promise<Tagged<T>>
  /** As `get`, and undefined for what is not there. */
  find<T>(call: Call, read: Reader<T>): Promise<T | undefined>
  /** An answer that is no JSON: a file, a log. */
  stream(call: Call): Promise<Answer>
  /**
   * Changes something, and waits until it is done.
   * @returns what the operation, or the answer, says of it
   */
  run(call: Change): Promise<Readonly<Record<string, unknown>>>
  /** Begins what goes on beside the caller: a command, a console. */
  begin(call: Change): Promise<Begun>
  /**
   * Replaces a thing by what `next` makes of it, unless that is undefined. Looks again when somebody else was quicker.
   * @returns whether anything was sent
   */
  alter<T>(call: Change, read: Reader<T>, next: (value: T) => unknown): Promise<boolean>
  socket(call: Pick<Call, 'path' | 'query' | 'doing' | 'signal'>): Promise<Socket>
  /** The member that has answered last, for messages. */
  server(): string
}

const usualPatienceMs = 75_000
const alterations = 5

export const openIncus = async ({addresses, project, patienceMs = usualPatienceMs, ...options}: IncusOptions): Promise<IncusClient> => {
  const wires = await Promise.all(addresses.map((address) => openWire(address, options)))
  const exchange = openExchange(wires, {patienceMs})
  const inProject = <C extends Pick<Call, 'query'>>(call: C): C => ({...call, query: {project, ...call.query}})

  const get = async <T>(call: Call, read: Reader<T>): Promise<Tagged<T>> => {
    const {answer, reply} = await ask(exchange, inProject(call))
    const {etag} = answer.headers
    return {value: read(accepted(answer, call, reply).metadata, nameOf(call)), etag: typeof etag === 'string' ? etag : undefined}
  }

  // One that is for some projects only hears of its own.
  const events = (query: Query) => (signal: AbortSignal) =>
    openSocket(exchange.current(), pathOf({path: '/1.0/events', query: {type: 'operation', ...query}}), {doing: 'listen to it', signal})
  const watch = openWatch((signal) => events({'all-projects': 'true'})(signal).catch(() => events({project})(signal)))

  const finish = async (
    change: Change,
    begun: string,
    {server, isHeard}: {readonly server: string; readonly isHeard: boolean},
  ): Promise<Readonly<Record<string, unknown>>> => {
    const {doing, signal, notify, timeoutMs, lookUp} = change
    const done = await awaitOperation(askerOf(exchange), placeOf(begun), {
      doing,
      signal,
      notify,
      timeoutMs,
      server,
      ...(isHeard && {watch}),
    })
    return done ? done.metadata : lookedUp(lookUp, outcomeUnknown(server, doing))
  }

  const start = async (change: Change): Promise<Accepted & {readonly server: string}> => {
    const {answer, reply} = await ask(exchange, inProject(change))
    return {...accepted(answer, change, reply), server: answer.wire.name}
  }

  const run = async (change: Change): Promise<Readonly<Record<string, unknown>>> => {
    // It is listened before anything is begun, so that no end is missed. What is merged is merged at once.
    using _listening = change.method === 'PATCH' ? undefined : await watch.use()
    try {
      const {operation: begun, metadata, server} = await start(change)
      return begun === undefined ? recordOf(metadata) : await finish(change, begun, {server, isHeard: true})
    } catch (error) {
      if (!(error instanceof AnswerLost)) throw error
      return await lookedUp(change.lookUp, outcomeUnknown(error.server, change.doing, error))
    }
  }

  return {
    get: async (call, read) => (await get(call, read)).value,
    getTagged: get,
    find: async (call, read) => {
      try {
        return (await get(call, read)).value
      } catch (error) {
        if (isFailure(error, incusFailures.notFound)) return undefined
        throw error
      }
    },
    async stream(call) {
      const answer = await exchange.send(inProject(call))
      if (answer.status < 400) return answer
      throw refused(answer, call, await textOf(answer.body))
    },
    run,
    async begin(change) {
      try {
        const {operation: begun, metadata, server} = await start(change)
        if (begun === undefined) throw unexpectedAnswer(server, change.doing)
        return {
          operation: operation(metadata, nameOf(change)),
          ...placeOf(begun),
          ended: ({timeoutMs} = {}) => finish({...change, ...(timeoutMs !== undefined && {timeoutMs})}, begun, {server, isHeard: false}),
        }
      } catch (error) {
        throw error instanceof AnswerLost ? outcomeUnknown(error.server, change.doing, error) : error
      }
    },
    async alter(change, read, next) {
      for (let tries = 1; ; tries++) {
        const {method: _method, json: _json, ...look} = change
        const {value, etag} = await get(look, read)
        const json = next(value)
        if (json === undefined) return false
        try {
          await run({...change, method: 'PUT', json, headers: {...change.headers, ...(etag !== undefined && {'if-match': etag})}})
          return true
        } catch (error) {
          if (!isFailure(error, incusFailures.changedMeanwhile) || tries === alterations) throw error
        }
      }
    },
    async socket(call) {
      const open = (): Promise<Socket> => openSocket(exchange.current(), pathOf(inProject(call)), call)
      try {
        return await open()
      } catch {
        // A websocket does not say why it cannot be opened. Who answers at all is the one to try it with again.
        await ask(exchange, {path: '/1.0', doing: call.doing, signal: call.signal})
        return await open()
      }
    },
    server: () => exchange.current().name,
    async [Symbol.asyncDispose]() {
      watch[Symbol.dispose]()
      await Promise.all(wires.map((wire) => wire[Symbol.asyncDispose]()))
    },
  }
}

/** What an answer says when it is no refusal. */
interface Accepted {
  readonly metadata: unknown
  /** Where the operation is that goes on. */
  readonly operation?: string | undefined
}

type Reply = Accepted | {readonly refusal: Refusal}

/** Sends, and reads the answer as JSON. A body that breaks off is an answer that is lost. */
const ask = async (exchange: Exchange, call: Call): Promise<{readonly answer: Answer; readonly reply: Reply}> => {
  const answer = await exchange.send(call)
  let body: string
  try {
    body = await textOf(answer.body)
  } catch (error) {
    call.signal.throwIfAborted()
    throw new AnswerLost(answer.wire.name, {error, mayHaveArrived: true, passes: true})
  }
  return {answer, reply: replyIn(answer, call, body)}
}

const replyIn = (answer: Answer, call: Call, body: string): Reply => {
  const refusal = refusalIn(body)
  if (refusal) return {refusal}
  const reply = jsonIn(body)
  if (reply === undefined || (reply['type'] !== 'sync' && reply['type'] !== 'async')) {
    throw new VmctlError(
      incusFailures.notIncus,
      `What answers at ${answer.wire.name} does not speak the language of Incus: status ${answer.status} for ${nameOf(call)}.`,
    )
  }
  const {metadata, operation: begun} = reply
  return {metadata, operation: reply['type'] === 'async' && typeof begun === 'string' ? begun : undefined}
}

const jsonIn = (body: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Readonly<Record<string, unknown>>) : undefined
  } catch {
    return undefined
  }
}

const accepted = (answer: Answer, call: Call, reply: Reply): Accepted => {
  if ('refusal' in reply) throw refusalError(answer.wire.name, call.doing, reply.refusal)
  return reply
}

const refused = (answer: Answer, {doing}: Call, body: string): VmctlError =>
  refusalError(answer.wire.name, doing, refusalIn(body) ?? {status: answer.status, message: ''})

const askerOf = (exchange: Exchange): Asker => ({
  async look(call): Promise<Look> {
    const {answer, reply} = await ask(exchange, call)
    if ('refusal' in reply) {
      if (reply.refusal.status === 404) return {type: 'gone'}
      if (reply.refusal.status === 401 || reply.refusal.status === 403) throw refusalError(answer.wire.name, call.doing, reply.refusal)
      return {type: 'no-answer'}
    }
    return {type: 'seen', operation: operation(reply.metadata, nameOf(call))}
  },
  async cancel(call) {
    await ask(exchange, call)
  },
})

/** @throws the failure when nothing tells that it was done */
const lookedUp = async (lookUp: Change['lookUp'], failure: VmctlError): Promise<Readonly<Record<string, unknown>>> => {
  const found = await lookUp?.()
  if (found) return found
  throw failure
}

const outcomeUnknown = (server: string, doing: string, cause?: AnswerLost): VmctlError =>
  new VmctlError(
    incusFailures.outcomeUnknown,
    `Whether the Incus server ${server} could ${doing} is not known: ${cause ? 'its answer was lost' : 'it has forgotten the operation'}.`,
    {
      cause: cause?.silence.error,
      details: {server},
      retry: 'now',
    },
  )

const unexpectedAnswer = (server: string, doing: string): VmctlError =>
  new VmctlError(incusFailures.unexpectedAnswer, `The Incus server ${server} began nothing when it was to ${doing}.`)

const recordOf = (metadata: unknown): Readonly<Record<string, unknown>> =>
  typeof metadata === 'object' && metadata !== null ? (metadata as Readonly<Record<string, unknown>>) : {}

const nameOf = ({method = 'GET', path}: Pick<Call, 'method' | 'path'>): string => `${method} ${path}`

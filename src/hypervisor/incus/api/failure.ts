import {type Failure, messageOf, systemCode, VmctlError} from '../../../model/errors.ts'
import {WrongServer} from './wire.ts'
import {incusFailures} from '../failures.ts'

/** What a server says when it does not do something. */
export interface Refusal {
  /** As in HTTP; Incus is not exact with it. */
  readonly status: number
  readonly message: string
}

/** The refusal in a text, when it is one of Incus. */
export const refusalIn = (text: string): Refusal | undefined => {
  try {
    const parsed = JSON.parse(text) as {readonly type?: unknown; readonly error?: unknown; readonly error_code?: unknown}
    return parsed.type === 'error' && typeof parsed.error === 'string'
      ? {status: typeof parsed.error_code === 'number' ? parsed.error_code : 500, message: parsed.error}
      : undefined
  } catch {
    return undefined
  }
}

interface Row {
  readonly code: Failure
  readonly status?: number
  readonly text?: RegExp
}

/** The first row that fits says what it is. The server has few codes, so its words decide where they are clearer. */
const rows: readonly Row[] = [
  {code: incusFailures.noVms, text: /instance type "?virtual-machine"? is not supported|instance type not operational/i},
  {code: incusFailures.restricted, text: /certificate is restricted|does not have permissions? for project/i},
  {
    code: incusFailures.quotaExceeded,
    text: /reached maximum (?:number|aggregate)|exceeds? (?:the )?project limit|has no "limits\.\S+" config/i,
  },
  {code: incusFailures.poolFull, text: /no space left on device|disk quota exceeded|(?:not enough|insufficient) (?:free )?space/i},
  {code: incusFailures.changedMeanwhile, status: 412},
  {code: incusFailures.nameTaken, text: /already exists|already in use by|UNIQUE constraint failed/},
  {code: incusFailures.nameTaken, status: 409},
  {code: incusFailures.untrusted, status: 403},
  {code: incusFailures.untrusted, status: 401},
  {code: incusFailures.notFound, status: 404},
  {code: incusFailures.refused, status: 400},
]

/** What was being done, in words that fit behind "could not": `create the instance "web1"`. */
export const refusalError = (server: string, doing: string, {status, message}: Refusal): VmctlError => {
  const fits = (row: Row): boolean => (row.status === undefined || row.status === status) && (row.text?.test(message) ?? true)
  const code = rows.find(fits)?.code ?? incusFailures.failed
  const said = message.trim().replace(/\.$/, '') || `status ${status}`
  return new VmctlError(code, `The Incus server ${server} could not ${doing}: ${said}.`, {details: {server, status, said}})
}

/** What passes by itself: a member that is starting, one that is gone and not yet known to be, a database without a leader. */
export const isPassing = ({status, message}: Refusal): boolean =>
  status === 502 ||
  status === 503 ||
  (status >= 500 && /isn't ready yet|not yet set up|cowsql|driver: bad connection|no available .* leader/i.test(message))

/** Why a server gave no answer. */
export interface Silence {
  readonly error: unknown
  /** Whether the request may have reached it, so that nobody knows what came of it. */
  readonly mayHaveArrived: boolean
  /** Whether another attempt, here or at another member, makes sense. */
  readonly passes: boolean
}

const neverSent = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOENT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
])

const inOrder = (error: unknown): readonly unknown[] => [
  error,
  ...(error instanceof AggregateError ? (error.errors as unknown[]) : []),
  ...(error instanceof Error && error.cause !== undefined ? inOrder(error.cause) : []),
]

/** Tells a failure on the way to a server, or back. */
export const silenceOf = (thrown: unknown): Silence => {
  const chain = inOrder(thrown)
  const wrong = chain.find((one) => one instanceof WrongServer)
  if (wrong) return {error: wrong, mayHaveArrived: false, passes: false}
  const code = chain.map(systemCode).find((one) => one !== undefined) ?? ''
  if (neverSent.has(code)) return {error: thrown, mayHaveArrived: false, passes: code !== 'ENOENT'}
  if (/EPROTO|^ERR_SSL|^ERR_TLS|CERT|HPE_/.test(code)) return {error: thrown, mayHaveArrived: false, passes: false}
  if (code === 'EACCES' || code === 'EPERM') return {error: thrown, mayHaveArrived: false, passes: false}
  return {error: thrown, mayHaveArrived: !/before secure TLS connection/.test(messageOf(thrown)), passes: true}
}

/** The error for somebody who waited in vain. */
export const silenceError = (server: string, doing: string, {error}: Silence): VmctlError => {
  if (error instanceof WrongServer) {
    const seen = error.seen === '' ? 'none' : error.seen
    return new VmctlError(
      incusFailures.wrongServer,
      `What answers at ${server} is not the server that this home was added for: its certificate has the fingerprint ${seen}.`,
      {
        details: {server, fingerprint: error.seen},
      },
    )
  }
  const code =
    inOrder(error)
      .map(systemCode)
      .find((one) => one !== undefined) ?? ''
  if (/EPROTO|^ERR_SSL|HPE_/.test(code)) {
    return new VmctlError(incusFailures.notIncus, `What answers at ${server} does not speak the language of Incus: ${reasonIn(error)}.`, {
      cause: error,
    })
  }
  return new VmctlError(incusFailures.unreachable, `Cannot ${doing}: no connection to the Incus server ${server}: ${reasonIn(error)}.`, {
    cause: error,
    details: {server},
  })
}

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  EHOSTUNREACH: 'there is no way to the host',
  ENETUNREACH: 'there is no way to its network',
  ECONNRESET: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
  UND_ERR_CONNECT_TIMEOUT: 'nothing answers',
  UND_ERR_HEADERS_TIMEOUT: 'it accepted the request and did not answer',
  UND_ERR_BODY_TIMEOUT: 'its answer stopped half-way',
  ENOENT: 'there is no such socket',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'its name could not be looked up',
  EACCES: 'the socket may not be used by this user; join the group incus-admin',
}

export const reasonIn = (error: unknown): string => {
  const known = inOrder(error).flatMap((one) => words[systemCode(one) ?? ''] ?? [])
  return known[0] ?? (messageOf(error).replace(/\.$/, '') || 'for no known reason')
}

import {VmctlError} from '../../model/errors.ts'
import {type HttpClient, type HttpOptions, type HttpResponse, statusFailure} from '../http-client.ts'
import {withRetries} from '../retry.ts'
import {printableName} from '../url.ts'
import {type Challenge, parseChallenges} from './challenge.ts'
import type {Credentials, FoundCredentials} from './credentials.ts'

/** Headers that were accepted, by registry and scope; in memory only. */
export type HeldHeaders = Map<string, Held>

interface Held {
  readonly header: string
  /** As `performance.now()` counts. */
  readonly endsAt: number
}

export interface AuthorizerOptions extends HttpOptions {
  readonly client: HttpClient
  /** Origin of the registry. */
  readonly base: URL
  /** `repository:NAME:pull` or `repository:NAME:pull,push`. */
  readonly scope: string
  readonly held: HeldHeaders
  readonly find: () => Promise<FoundCredentials>
}

/** Answers the challenges of one registry for one repository. */
export interface Authorizer {
  /** The header for the next request; undefined as long as nobody has asked who we are, and when the last one has ended. */
  header(): string | undefined
  /** Takes what the registry has said with status 401. Throws when there is nothing to say. */
  answer(challenge: string | undefined, signal: AbortSignal): Promise<void>
  /** What is to be told when the answer was refused. */
  refusal(): Promise<VmctlError>
}

/** Seconds that a token is good for when the server does not say, as Docker has it. */
const defaultSeconds = 60
/** A token that ends within this time is not sent any more. */
const marginMs = 5000

/**
 * Gets tokens, or shows user and password, as the registry wants it: `WWW-Authenticate`, the token protocol of Docker and OAuth2.
 */
export const createAuthorizer = (options: AuthorizerOptions): Authorizer => {
  const {held, base, scope} = options
  const key = `${base.origin} ${scope}`
  let found: Promise<FoundCredentials> | undefined
  const credentials = (): Promise<FoundCredentials> => (found ??= options.find())
  return {
    header() {
      const known = held.get(key)
      return known && performance.now() < known.endsAt ? known.header : undefined
    },
    async answer(text, signal) {
      const [challenge] = parseChallenges(text ?? '')
      const known = await credentials()
      if (challenge?.scheme === 'bearer') {
        held.set(key, await fetchToken(options, {challenge, found: known, signal}))
        return
      }
      if (challenge?.scheme !== 'basic' || known.credentials?.kind !== 'user') throw denied(options, known)
      held.set(key, {header: basic(known.credentials), endsAt: Infinity})
    },
    refusal: async () => denied(options, await credentials()),
  }
}

const basic = ({user, password}: Extract<Credentials, {kind: 'user'}>): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

interface TokenJob {
  readonly challenge: Challenge
  readonly found: FoundCredentials
  readonly signal: AbortSignal
}

const fetchToken = async (options: AuthorizerOptions, {challenge, found, signal}: TokenJob): Promise<Held> => {
  const realm = realmOf(options, challenge)
  const request = {...tokenRequest(realm, {service: challenge.service, scope: options.scope}, found.credentials), namedBy: options.base}
  const step = async (): Promise<HttpResponse> => {
    const answer = await options.client.send(request, signal)
    if (answer.status !== 429 && answer.status < 500) return answer
    answer.body.on('error', () => undefined).destroy()
    throw statusFailure(realm, answer)
  }
  const response = await withRetries(step, {...options, signal, progress: () => 0})
  return readToken(realm, response, () => denied(options, found))
}

const tokenRequest = (
  realm: URL,
  {service, scope}: {readonly service: string | undefined; readonly scope: string},
  credentials: Credentials | undefined,
) => {
  const fields = {...(service !== undefined && {service}), scope}
  if (credentials?.kind === 'identity') {
    const form = new URLSearchParams({grant_type: 'refresh_token', client_id: 'vmctl', ...fields, refresh_token: credentials.token})
    return {
      method: 'POST',
      url: realm,
      headers: {'content-type': 'application/x-www-form-urlencoded'},
      body: Buffer.from(form.toString()),
    } as const
  }
  const url = new URL(realm)
  for (const [name, value] of Object.entries(fields)) url.searchParams.set(name, value)
  return {method: 'GET', url, headers: credentials ? {authorization: basic(credentials)} : {}} as const
}

/** Who is asked for tokens gets passwords: by https, or on this host. */
const realmOf = ({base}: AuthorizerOptions, {realm}: Challenge): URL => {
  const url = URL.parse(realm ?? '')
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && base.protocol === 'http:')
  if (url && isSafe) return url
  throw new VmctlError('vmctl::registry::denied', `${base.host} does not say in a usable way where tokens are given out.`, {
    help: 'It names no https URL for that. Check that this is the address of a registry.',
  })
}

const tokenLimit = 2 ** 20

const readToken = async (realm: URL, {status, body}: HttpResponse, refusal: () => VmctlError): Promise<Held> => {
  const parts: Buffer[] = []
  let length = 0
  for await (const chunk of body) {
    parts.push(chunk as Buffer)
    length += (chunk as Buffer).length
    if (length > tokenLimit) break
  }
  if (status === 401 || status === 403 || status === 400) throw refusal()
  const {token, access_token: access, expires_in: seconds} = status === 200 ? parseToken(Buffer.concat(parts).toString('utf8')) : {}
  const value = token ?? access
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    throw new VmctlError('vmctl::image::download_failed', `${printableName(realm.host)} gave out no token (status ${status}).`)
  }
  const lastsMs = (typeof seconds === 'number' && seconds > 0 ? seconds : defaultSeconds) * 1000
  // One that is short-lived is used at least once.
  return {header: `Bearer ${value}`, endsAt: performance.now() + Math.max(lastsMs - marginMs, marginMs)}
}

const parseToken = (text: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    // The parser's own message would quote it.
    return {}
  }
}

const denied = ({base, scope}: Pick<AuthorizerOptions, 'base' | 'scope'>, {credentials, problems}: FoundCredentials): VmctlError => {
  const [, repository = '', actions = ''] = scope.split(':')
  const what = actions.includes('push') ? 'push to' : 'pull from'
  const who = credentials ? 'with the credentials that are known for it' : 'without credentials'
  const told = problems.length === 0 ? '' : ` These could not be read: ${problems.join('; ')}`
  return new VmctlError('vmctl::registry::denied', `${base.host} does not let you ${what} ${repository} ${who}.${told}`, {
    details: {registry: base.host, repository},
  })
}

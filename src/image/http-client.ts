import type {Readable} from 'node:stream'

import {systemCode, messageOf, VmctlError} from '../model/errors.ts'
import {guardAddresses, PrivateAddress} from './private-address.ts'
import {displayUrl} from './url.ts'

export interface HttpOptions {
  /** Milliseconds without headers, or with less than 1 KiB of content, after which a connection counts as dead. Default 30 s. */
  readonly idleTimeoutMs?: number
  /** Attempts in a row that may fail without bringing a single new byte. Default 5. */
  readonly retries?: number
  /** Milliseconds before the first retry; doubles each time. Default 500. */
  readonly retryDelayMs?: number
  /** Whether a server on the internet may redirect to an address that is private to the host's network. */
  readonly allowPrivateRedirects?: boolean
  /** Further certificate authority, PEM. */
  readonly ca?: string
  /** Accept any certificate, and a redirect from https to http. */
  readonly insecure?: boolean | undefined
}

export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Readable
}

export interface HttpClient extends AsyncDisposable {
  /**
   * One GET, following up to 5 redirects. Resolves with status 200, 206 or 416. An `authorization` goes to the origin of `url` alone.
   * @throws HttpFailure
   */
  get(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpResponse>
  /**
   * One request, whose answer is given back whatever it is, a redirect included; the caller takes or destroys its body.
   * @throws HttpFailure when there is no answer
   */
  send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse>
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** A stream is made when it is sent. */
  readonly body?: Buffer | (() => Readable) | undefined
  /** The server that named this URL. One on the internet cannot lead into the network of the host. */
  readonly namedBy?: URL | undefined
  /** Milliseconds to wait for the beginning of the answer, when it is one that takes its time. */
  readonly patienceMs?: number
}

/** One failed attempt. `retry` tells whether another one makes sense; `afterMs` is the server's wish. */
export class HttpFailure extends Error {
  readonly retry: 'no' | 'if-progress' | 'yes'
  readonly afterMs: number | undefined
  /** What the server answered, when it answered. */
  readonly status: number | undefined
  /** How the server that was asked wants to know who asks (`WWW-Authenticate`). */
  readonly challenge: string | undefined
  /** Whether it was the server of the first URL, and not one that a redirect led to. */
  readonly isOfStart: boolean

  constructor(
    message: string,
    options: {
      retry: 'no' | 'if-progress' | 'yes'
      afterMs?: number | undefined
      status?: number
      challenge?: string | undefined
      isOfStart?: boolean
      cause?: unknown
    },
  ) {
    super(message, options.cause === undefined ? undefined : {cause: options.cause})
    this.retry = options.retry
    this.afterMs = options.afterMs
    this.status = options.status
    this.challenge = options.challenge
    this.isOfStart = options.isOfStart ?? true
  }
}

const maxRedirects = 5
const redirects = new Set([301, 302, 303, 307, 308])
const transient = new Set([408, 425, 429, 500, 502, 503, 504])

/** Opens a client on undici, which is loaded only now. Proxies come from the environment (`https_proxy`, `no_proxy`, …). */
export const openHttpClient = async (options: HttpOptions): Promise<HttpClient> => {
  const {EnvHttpProxyAgent, request} = await import('undici')
  const idleTimeoutMs = options.idleTimeoutMs ?? 30_000
  const {insecure = false} = options
  const addresses = guardAddresses()
  const connect = {
    timeout: Math.min(idleTimeoutMs, 15_000),
    lookup: addresses.lookup,
    ...(options.ca === undefined ? {} : {ca: options.ca}),
    ...(insecure && {rejectUnauthorized: false}),
  }
  // HTTP/1.1 frames a body by length or chunks, which is what the checks for cut bodies rest on. Idle bodies are watched by the caller.
  const dispatcher = new EnvHttpProxyAgent({allowH2: false, headersTimeout: idleTimeoutMs, bodyTimeout: 0, connect})
  const once = async (
    {url, body: content, patienceMs, ...what}: Omit<HttpRequest, 'namedBy'>,
    signal: AbortSignal,
  ): Promise<HttpResponse> => {
    try {
      const {
        statusCode,
        headers: answer,
        body,
      } = await request(withoutCredentials(url), {
        dispatcher,
        signal,
        ...what,
        ...(patienceMs !== undefined && {headersTimeout: patienceMs}),
        body: typeof content === 'function' ? content() : (content ?? null),
      })
      return {status: statusCode, headers: answer, body}
    } catch (error) {
      signal.throwIfAborted()
      throw isPrivateAddress(error) ? intoTheNetwork(url, error) : connectionFailure(url, error)
    }
  }
  const checkTarget = (from: URL, target: URL): void => {
    // Who names an address of the own network means it; who is sent there from outside does not.
    if (options.allowPrivateRedirects || addresses.isPrivate(from)) return
    if (target.origin !== from.origin && addresses.guard(target)) throw intoTheNetwork(target)
  }
  return {
    async get(start, headers, signal) {
      const {authorization: _private, ...open} = headers
      let url = start
      for (let hops = 0; ; hops++) {
        const sent = url.origin === start.origin ? {...headers, ...authorization(start)} : open
        const response = await once({method: 'GET', url, headers: sent}, signal)
        if (response.status === 200 || response.status === 206 || response.status === 416) return response
        response.body.on('error', () => undefined).destroy()
        if (!redirects.has(response.status)) throw statusFailure(url, response, url.origin === start.origin)
        if (hops === maxRedirects) throw fatal(`${displayUrl(start)} redirects more than ${maxRedirects} times.`)
        url = redirectTarget(url, single(response.headers['location']), insecure)
        checkTarget(start, url)
      }
    },
    async send({namedBy, ...what}, signal) {
      if (namedBy) checkTarget(namedBy, what.url)
      return once(what, signal)
    },
    async [Symbol.asyncDispose]() {
      await dispatcher.destroy()
    },
  }
}

/** A header that must not come twice to be of use. */
export const single = (header: string | string[] | undefined): string | undefined => (typeof header === 'string' ? header : header?.[0])

/** Turns a failure on the wire into one that tells where, and whether trying again makes sense. */
export const connectionFailure = (url: URL, error: unknown): HttpFailure => {
  if (error instanceof HttpFailure) return error
  const code = systemCode(error) ?? ''
  const isFinal = code === 'ENOTFOUND' || code === 'UND_ERR_INVALID_ARG' || /CERT|SIGNATURE|ERR_TLS|^ERR_SSL|ISSUER/.test(code)
  return new HttpFailure(`The connection to ${url.host} failed: ${messageOf(error) || code}.`, {
    retry: isFinal ? 'no' : code === 'ECONNREFUSED' ? 'if-progress' : 'yes',
    cause: error,
  })
}

/** @returns the error for the user */
export const downloadError = (url: URL, failure: HttpFailure): VmctlError =>
  new VmctlError('vmctl::image::download_failed', `Cannot download ${displayUrl(url)}: ${failure.message}`, {
    cause: failure.cause ?? failure,
  })

const isPrivateAddress = (error: unknown): boolean =>
  error instanceof PrivateAddress || (error instanceof Error && error.cause instanceof PrivateAddress)

const intoTheNetwork = (url: URL, cause?: unknown): HttpFailure =>
  new HttpFailure(
    `a server on the internet redirects to ${url.host}, which is in the network of the host. If that is meant, name that URL, or set VMCTL_PRIVATE_REDIRECTS=1.`,
    {retry: 'no', cause},
  )

const fatal = (message: string): HttpFailure => new HttpFailure(message, {retry: 'no'})

const withoutCredentials = (url: URL): URL => {
  const plain = new URL(url)
  plain.username = ''
  plain.password = ''
  return plain
}

const authorization = (url: URL): Record<string, string> => {
  if (url.username === '' && url.password === '') return {}
  const pair = `${decoded(url.username)}:${decoded(url.password)}`
  return {authorization: `Basic ${Buffer.from(pair).toString('base64')}`}
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const redirectTarget = (from: URL, location: string | undefined, insecure: boolean): URL => {
  if (location === undefined || !URL.canParse(location, from.href)) throw fatal(`${displayUrl(from)} redirects to nowhere.`)
  const target = new URL(location, from)
  if (target.protocol !== 'https:' && target.protocol !== 'http:') {
    throw fatal(`${displayUrl(from)} redirects to ${target.protocol}, and only http and https are followed.`)
  }
  if (from.protocol === 'https:' && target.protocol === 'http:' && !insecure) {
    throw fatal(`${displayUrl(from)} redirects from https to plain http (${target.host}), which is not followed.`)
  }
  return target
}

/** An answer that is none of those that were hoped for. */
export const statusFailure = (url: URL, response: Pick<HttpResponse, 'status' | 'headers'>, isOfStart = true): HttpFailure => {
  const seconds = Number(single(response.headers['retry-after']))
  return new HttpFailure(`${url.host} answered ${response.status} ${reasonPhrase(response.status)}`.trimEnd() + '.', {
    retry: transient.has(response.status) ? 'yes' : 'no',
    afterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined,
    status: response.status,
    challenge: single(response.headers['www-authenticate']),
    isOfStart,
  })
}

/** Loaded only for an error: node:http takes as long as everything else of `vmctl list` together. */
const reasonPhrase = (status: number): string => process.getBuiltinModule('node:http').STATUS_CODES[status] ?? ''

import {createHash} from 'node:crypto'
import type {Socket} from 'node:net'
import type {TLSSocket} from 'node:tls'

import type {Agent, buildConnector} from 'undici'

/** Where a server, or a member of a cluster, is reached. */
export type ServerAddress = {readonly socket: string} | {readonly url: string}

/** What a server knows us by, as PEM. */
export interface Credentials {
  readonly certificate: string
  readonly key: string
}

export interface WireOptions {
  /** SHA-256 of the server's certificate in hexadecimal digits, by which it is known; a Unix socket needs none. */
  readonly fingerprint?: string | undefined
  readonly credentials?: Credentials | undefined
}

/** The connections to one address. */
export interface Wire extends AsyncDisposable {
  /** For people: `10.0.0.11:8443`, or the path of the socket. */
  readonly name: string
  readonly origin: string
  /** Few connections, so that a thousand VMs do not fall upon the server at once. */
  readonly calls: Agent
  /** For what stays open for long: waiting, consoles, events. */
  readonly waits: Agent
}

/** Another certificate than the one that is known. Nothing was sent. */
export class WrongServer extends Error {
  readonly seen: string
  constructor(seen: string) {
    super('the server has another certificate')
    this.seen = seen
  }
}

const connectMs = 8000
const parallelCalls = 8
const parallelWaits = 256

/** How long a server may think. One whose leader has lost its power answers nothing for half a minute. */
export const answerMs = 60_000

export const openWire = async (address: ServerAddress, options: WireOptions): Promise<Wire> => {
  const undici = await import('undici')
  const connect = connectorOf(undici.buildConnector, address, options)
  const agent = (connections: number): Agent =>
    // HTTP/1.1: a websocket is an upgrade of it.
    new undici.Agent({connect, connections, allowH2: false, headersTimeout: answerMs, bodyTimeout: answerMs})
  const calls = agent(parallelCalls)
  const waits = agent(parallelWaits)
  return {
    ...namesOf(address),
    calls,
    waits,
    async [Symbol.asyncDispose]() {
      await Promise.all([calls.destroy(), waits.destroy()])
    },
  }
}

const namesOf = (address: ServerAddress): {readonly name: string; readonly origin: string} => {
  if ('socket' in address) return {name: address.socket, origin: 'http://incus'}
  const {host, origin} = new URL(address.url)
  return {name: host, origin}
}

const connectorOf = (
  build: typeof buildConnector,
  address: ServerAddress,
  {fingerprint, credentials}: WireOptions,
): buildConnector.connector => {
  if ('socket' in address) return build({socketPath: address.socket, timeout: connectMs})
  const connect = build({
    ...(credentials && {cert: credentials.certificate, key: credentials.key}),
    timeout: connectMs,
    allowH2: false,
    // There is no authority that would vouch for the server: what it shows is compared with what is known, on each connection anew.
    rejectUnauthorized: false,
    maxCachedSessions: 0,
  })
  return (options, callback) =>
    connect(options, (error, socket) => {
      if (error) return callback(error, null)
      const seen = socket && fingerprintOf(socket)
      if (seen !== undefined && seen === fingerprint) return callback(null, socket)
      socket?.destroy()
      callback(new WrongServer(seen ?? ''), null)
    })
}

/** The SHA-256 of the certificate that the other side has shown, in hexadecimal digits. */
export const fingerprintOf = (socket: Socket | TLSSocket): string | undefined => {
  if (!('getPeerX509Certificate' in socket)) return undefined
  const certificate = socket.getPeerX509Certificate()
  return certificate && createHash('sha256').update(certificate.raw).digest('hex')
}

import {createRequire} from 'node:module'
import type {Duplex} from 'node:stream'

import type {Client, ConnectConfig} from 'ssh2'

import {isVmctlError, type VmctlError} from '../../model/errors.ts'
import {reuseReadMemory} from '../../host/sockets.ts'
import {authentication} from './authentication.ts'
import {type Candidate, describeCandidate, type Refused} from './candidates.ts'
import type {GuestConnection} from './connection.ts'
import {awaitGreeting} from './greeting.ts'
import {publicKeyLine} from '../keys/keys.ts'
import {guestConnection} from './open-connection.ts'
import {explainFailure, isTooMany, type Stage} from './failures.ts'
import {keyTypeOf} from '../../model/public-key.ts'

export type {GuestConnection} from './connection.ts'

/** When a guest that says nothing any longer is given up: after `count` questions in a row without an answer. */
export const keepalive = {intervalMs: 10_000, count: 3} as const

/** How far a connection has come; each is reached once. */
export type ConnectionStage = 'banner' | 'host-key' | 'authentication'

export interface ConnectOptions {
  /** Already connected to the guest's SSH port; it belongs to the connection from now on, whatever happens. */
  readonly stream: Duplex
  readonly user: string
  readonly auth: readonly Candidate[]
  /** What earlier connections to this guest have shown it in vain; the same set for all of them, which they keep up to date. */
  readonly refused?: Refused | undefined
  /** Gets the server's key in wire form; anything but true refuses it, a text says why. Nothing is sent to a server that is refused. */
  readonly verifyHostKey: (key: Buffer, type: string) => boolean | string
  /** The type of the key that is expected (`ssh-ed25519`), for servers that have several. */
  readonly hostKeyType?: string | undefined
  /** Milliseconds until the server greets (5000), and from there until it has let us in (30000: a guest without KVM is slow). */
  readonly greetingTimeoutMs?: number
  readonly handshakeTimeoutMs?: number
  /** A guest that does not answer `count` questions in a row is gone. Default: 3 times 10 s. */
  readonly keepalive?: {readonly intervalMs: number; readonly count: number}
  /** Silence in milliseconds after which a command that has ended is not waited for any longer. Default: 1000. */
  readonly exitGraceMs?: number
  readonly onSlowShell?: ((message: string) => void) | undefined
  readonly shellMs?: {readonly slow: number; readonly limit: number}
  /** Whether the guest has a POSIX shell (true). */
  readonly hasShell?: boolean
  /** Gets the error of a connection that did not come about, before it is thrown. */
  readonly onRefusal?: ((error: VmctlError) => void) | undefined
  readonly onStage?: (stage: ConnectionStage, detail: string) => void
  readonly signal?: AbortSignal | undefined
}

/** Loads what a connection needs, so that whoever waits for a greeting does not begin with that when it comes. */
export const prepareToConnect = (): void => void import('ssh2').catch(() => undefined)

/**
 * Makes an SSH connection: the only place that does.
 * @throws VmctlError by the stage that failed: `vmctl::ssh::unreachable` (no greeting, or too slow),
 *   `vmctl::ssh::host_key_mismatch`, `vmctl::ssh::authentication_failed`, `vmctl::ssh::failed`
 */
export const connect = async (options: ConnectOptions): Promise<GuestConnection> => {
  const {stream, signal} = options
  try {
    const {default: ssh2} = await import('ssh2')
    const greeting = await awaitGreeting(stream, {timeoutMs: options.greetingTimeoutMs ?? 5000, signal})
    options.onStage?.('banner', greeting)
    return await handshake(new ssh2.Client(), options, ssh2)
  } catch (error) {
    stream.destroy()
    if (isVmctlError(error)) options.onRefusal?.(error)
    throw error
  }
}

const handshake = (client: Client, options: ConnectOptions, ssh2: typeof import('ssh2')): Promise<GuestConnection> =>
  new Promise((resolve, reject) => {
    const {user, signal} = options
    const auth = authentication(options, ssh2)
    const state: {stage: Stage; hostKey: Buffer | undefined; refusal: string | undefined; cipher: string} = {
      stage: 'key-exchange',
      hostKey: undefined,
      refusal: undefined,
      cipher: '',
    }
    const banners: string[] = []
    const stop = (error: unknown): void => {
      signal?.removeEventListener('abort', onAbort)
      client.off('close', onClose).off('ready', onReady).off('error', onError)
      // ssh2 may report more than one error; without a listener the second would end the process.
      client.on('error', () => undefined)
      reject(error)
    }
    const explain = (error: Error | undefined): unknown => {
      if (!auth.isExhausted()) auth.remember(isTooMany(error))
      return explainFailure({
        error,
        ...state,
        hostKeyType: options.hostKeyType,
        user,
        tried: auth.tried(),
        notes: auth.notes,
        encrypted: auth.encrypted,
        banners,
        exhausted: auth.isExhausted(),
      })
    }
    const onAbort = (): void => stop(signal?.reason)
    const onClose = (): void => stop(explain(undefined))
    const onError = (error: Error & {level?: string}): void => {
      // One key or the agent does not work: the next one is tried.
      const passes = error.level === 'agent' || (error.level === 'client-authentication' && !auth.isExhausted())
      if (passes) auth.notes.push(error.message)
      else stop(explain(error))
    }
    const onReady = (): void => {
      signal?.removeEventListener('abort', onAbort)
      client.off('close', onClose).off('error', onError)
      if (keepsNothing(state.cipher)) reuseReadMemory(options.stream)
      const key = auth.latest()
      options.onStage?.('authentication', key ? describeCandidate(key) : '')
      resolve(guestConnection(client, {...options, key, hostKey: publicKeyLine(state.hostKey ?? Buffer.alloc(0))}))
    }
    // Nagle's algorithm and delayed acknowledgements cost 40 ms per small message (ssh2 leaves it on).
    client.on('connect', () => client.setNoDelay(true))
    client.once('handshake', ({sc}) => {
      state.stage = 'authentication'
      state.cipher = sc.cipher
      if (state.hostKey) options.onStage?.('host-key', publicKeyLine(state.hostKey))
    })
    client.on('banner', (text) => banners.push(text))
    client.on('ready', onReady).on('close', onClose).on('error', onError)
    signal?.addEventListener('abort', onAbort)
    const verify = (key: Buffer): boolean => {
      const answer = options.verifyHostKey(key, keyTypeOf(key) ?? 'unknown')
      state.hostKey = key
      if (answer === true) return true
      state.refusal = answer === false ? 'it is not the key of this VM' : answer
      return false
    }
    if (signal?.aborted) return onAbort()
    client.connect({
      sock: options.stream,
      username: user,
      authHandler: auth.handler,
      hostVerifier: verify,
      ...hostKeyOrder(options.hostKeyType),
      readyTimeout: options.handshakeTimeoutMs ?? 30_000,
      keepaliveInterval: options.keepalive?.intervalMs ?? keepalive.intervalMs,
      keepaliveCountMax: options.keepalive?.count ?? keepalive.count,
    })
  })

/** ssh2 prefers Ed25519; a guest whose recorded key is another one is asked for that first. */
const hostKeyOrder = (type: string | undefined): Pick<ConnectConfig, 'algorithms'> => {
  const signatures = type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'] : [type]
  const all = [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
    'ssh-rsa',
  ] as const
  const first = all.filter((name) => signatures.includes(name))
  return first.length === 0 ? {} : {algorithms: {serverHostKey: [...first, ...all.filter((name) => !first.includes(name))]}}
}

/**
 * Whether ssh2 is done with what it was given when it returns. It decrypts AES-GCM into new memory as it comes, unless it has its
 * native module (built where a compiler is found), which decrypts in place; of other ciphers it keeps a packet until its code
 * for authentication has come.
 */
const keepsNothing = (cipher: string): boolean => {
  if (!cipher.endsWith('-gcm@openssh.com')) return false
  try {
    const internals: {readonly bindingAvailable?: unknown} = createRequire(import.meta.url)('ssh2/lib/protocol/crypto.js')
    return internals.bindingAvailable === false
  } catch {
    return false
  }
}

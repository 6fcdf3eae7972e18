import {setTimeout as sleep} from 'node:timers/promises'

import {isVmctlError, type VmctlError, isFailure} from '../../model/errors.ts'
import {type GuestPaths, guestPaths} from './cloud-init-result.ts'
import {type Dial, type GreetedOptions, greetedStream} from './dial.ts'
import {fingerprint, requirePublicKey} from '../keys/keys.ts'
import {type ProbeOutcome, probeGuest} from './probe.ts'
import {connect, type ConnectOptions, type GuestConnection, prepareToConnect} from '../ssh/ssh.ts'
import {startWatch, type Watch, type WatchOptions} from './watch.ts'

export interface HostKeyTrust {
  /** The key that the VM must show, as an OpenSSH line. */
  readonly pinned?: string | undefined
  /**
   * Accepts a guest without a pinned key, or one that did not take the pinned key in its first boot, and gets the
   * key that it keeps, as an OpenSSH line. Without this function only the pinned key will do.
   */
  readonly onFirstUse?: ((key: string) => void | Promise<void>) | undefined
}

export interface ReadinessOptions extends Omit<WatchOptions, 'timeoutMs' | 'ceilingMs'> {
  readonly dial: Dial
  /** Whether the guest has accepted the connection that was dialled last; undefined when that cannot be known. */
  readonly isAccepted?: GreetedOptions['isAccepted']
  readonly connectOptions: Pick<
    ConnectOptions,
    'user' | 'auth' | 'keepalive' | 'exitGraceMs' | 'handshakeTimeoutMs' | 'onSlowShell' | 'refused' | 'onRefusal' | 'hasShell'
  >
  readonly hostKey: HostKeyTrust
  /** The guest got a seed: wait for cloud-init and report what it says. */
  readonly expectCloudInit: boolean
  /**
   * During a first boot a wrong host key and a refused log-in are tried again until the time is up: the image's own
   * sshd may answer before cloud-init has put in the key and made the user. Later they fail at once.
   */
  readonly firstBoot: boolean
  /** Default: 120 s without progress. */
  readonly timeoutMs?: number
  /** Default: five times `timeoutMs`. Both end with the log-in. */
  readonly ceilingMs?: number
  /** Default: 600 s for cloud-init. */
  readonly cloudInitTimeoutMs?: number
  /** For tests. */
  readonly paths?: GuestPaths
}

export interface ReadyGuest {
  readonly connection: GuestConnection
  /** Differs with every boot; undefined when the guest does not tell. A restored memory state has the old one. */
  readonly bootId: string | undefined
  readonly cloudInit: ProbeOutcome['cloudInit']
  readonly warnings: readonly string[]
}

/**
 * Goes with a started VM to a guest that can be worked with, from one milestone to the next:
 * process, TCP, greeting, host key, log-in, boot id, cloud-init.
 * @throws VmctlError by the milestone that was not reached; one that is about time ends with the last lines of the console
 */
export const waitUntilReady = async (options: ReadinessOptions): Promise<ReadyGuest> => {
  const timeoutMs = options.timeoutMs ?? 120_000
  using watch = startWatch({...options, timeoutMs, ceilingMs: options.ceilingMs ?? 5 * timeoutMs})
  try {
    return await climb(options, watch)
  } catch (error) {
    throw await watch.explain(watch.signal.aborted ? watch.signal.reason : error)
  }
}

const climb = async (options: ReadinessOptions, watch: Watch): Promise<ReadyGuest> => {
  await watch.begun
  prepareToConnect()
  for (;;) {
    const connection = await logIn(options, watch)
    try {
      const outcome = connection.hasShell ? await probeGuest(connection, watch, {...options, paths: options.paths ?? guestPaths}) : unasked
      const settled = await settleHostKey(connection, options, watch)
      watch.reached('ready')
      return {connection: settled, ...outcome}
    } catch (error) {
      connection.close()
      // cloud-init may restart sshd, or the whole guest.
      if (watch.signal.aborted || !isFailure(error, 'vmctl::ssh::connection_lost')) throw error
      watch.note(error)
      await pause(200, watch.signal)
    }
  }
}

/** A guest without a shell tells nothing of itself: that it lets us in has to do. */
const unasked: ProbeOutcome = {bootId: undefined, cloudInit: 'absent', warnings: []}

const pause = (ms: number | undefined, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, {signal}).catch(() => signal.throwIfAborted())

/**
 * Pauses after the first, second, … failure of a kind; the last one stays.
 * OpenSSH 9.8 and later shut out a client whose penalties add up to 15 s: 5 s for a refused log-in, 1 s for a
 * connection without one (PerSourcePenalties of sshd_config(5)). These pauses stay below.
 */
const pausesMs = (error: VmctlError): readonly number[] => {
  if (isFailure(error, 'vmctl::ssh::authentication_failed')) return [1000, 2000, 4000, 5000]
  return isFailure(error, 'vmctl::ssh::host_key_mismatch') ? [500, 1000] : [200]
}

const logIn = async (options: ReadinessOptions, watch: Watch): Promise<GuestConnection> => {
  const {signal} = watch
  const failures = new Map<string, number>()
  for (;;) {
    try {
      const stream = await greetedStream({
        dial: options.dial,
        isAccepted: options.isAccepted,
        onConnected: () => watch.reached('tcp'),
        onFailure: (error) => watch.note(error),
        signal,
      })
      return await connect({
        ...options.connectOptions,
        stream,
        ...hostKeyCheck(options),
        onStage: (stage, detail) => watch.reached(stage, detail),
        signal,
      })
    } catch (error) {
      signal.throwIfAborted()
      if (!isVmctlError(error) || !mayPass(error, options)) throw error
      watch.note(error)
      const count = failures.get(error.code) ?? 0
      failures.set(error.code, count + 1)
      const pauses = pausesMs(error)
      await pause(pauses[count] ?? pauses.at(-1), signal)
    }
  }
}

/** Can the same attempt succeed a little later? */
const mayPass = (error: VmctlError, {firstBoot}: ReadinessOptions): boolean => {
  const {retry} = error.facts
  if (retry === 'never') return false
  if (isFailure(error, 'vmctl::ssh::host_key_mismatch')) return firstBoot
  if (isFailure(error, 'vmctl::ssh::authentication_failed')) return firstBoot || retry === 'later'
  return isFailure(error, 'vmctl::ssh::unreachable', 'vmctl::ssh::failed')
}

const hostKeyCheck = ({hostKey, firstBoot}: ReadinessOptions): Pick<ConnectOptions, 'verifyHostKey' | 'hostKeyType'> => {
  const pinned = hostKey.pinned === undefined ? undefined : requirePublicKey(hostKey.pinned)
  const acceptsAny = hostKey.onFirstUse !== undefined && (firstBoot || !pinned)
  return {
    hostKeyType: pinned?.type,
    verifyHostKey: (key) => {
      if (acceptsAny || pinned?.blob.equals(key)) return true
      return pinned ? `this VM has ${fingerprint(pinned.blob)}` : 'the host key of this VM is not known'
    },
  }
}

/**
 * After its first boot a guest that was let in with another key than the pinned one is asked once more: perhaps
 * cloud-init has installed the key by now. If not, the key that it has is the one to remember.
 */
const settleHostKey = async (connection: GuestConnection, options: ReadinessOptions, watch: Watch): Promise<GuestConnection> => {
  const {pinned, onFirstUse} = options.hostKey
  const isPinned = (one: GuestConnection): boolean =>
    pinned !== undefined && requirePublicKey(pinned).blob.equals(requirePublicKey(one.hostKey).blob)
  if (!onFirstUse || isPinned(connection)) return connection
  if (!options.firstBoot) {
    await onFirstUse(connection.hostKey)
    return connection
  }
  connection.close()
  const again = await logIn(options, watch)
  try {
    if (!isPinned(again)) await onFirstUse(again.hostKey)
    return again
  } catch (error) {
    again.close()
    throw error
  }
}

import {randomBytes} from 'node:crypto'
import type {Duplex} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'

import type {Client, SFTPWrapper} from 'ssh2'

import {anyShell} from '../../model/any-shell.ts'
import {messageOf, VmctlError} from '../../model/errors.ts'
import type {ExecExit, ExecOptions} from '../../model/exec.ts'
import {noShell} from '../../model/login.ts'
import type {Candidate} from './candidates.ts'
import {followChannel, lost} from './channel.ts'
import type {GuestConnection} from './connection.ts'
import {sessionSlots} from './session-slots.ts'
import {slowShell} from './shell-start.ts'

interface ConnectionSettings {
  readonly stream: Duplex
  readonly user: string
  readonly hostKey: string
  readonly key?: Candidate | undefined
  readonly exitGraceMs?: number
  /** Gets a sentence about a login shell whose start-up files take their time; once. */
  readonly onSlowShell?: ((message: string) => void) | undefined
  /** Milliseconds after which that is told (20 s), and after which such a command is given up (5 minutes). */
  readonly shellMs?: {readonly slow: number; readonly limit: number}
  readonly hasShell?: boolean
}

/** A server that refused a session is asked again this often, when nothing else of ours is in its way. */
const retries = {count: 20, pauseMs: 50} as const

/** Gives a client that has logged in the shape that the rest of vmctl works with. */
export const guestConnection = (client: Client, settings: ConnectionSettings): GuestConnection => {
  const {stream, user, hostKey, key, exitGraceMs = 1000, shellMs = {slow: 20_000, limit: 300_000}, hasShell = true} = settings
  let isSlowTold = false
  const slots = sessionSlots()
  const whenLost = new Set<(error: Error) => void>()
  let end: Error | undefined
  let reason = 'The connection to the guest was lost.'
  const closed = new Promise<never>((_, reject) => {
    whenLost.add(reject)
  })
  closed.catch(() => undefined)

  client.on('error', (error) => {
    reason = `The connection to the guest was lost: ${error.message}.`
  })
  const die = (cause?: unknown): void => {
    end ??= lost(reason, cause)
    for (const action of whenLost) action(end)
    whenLost.clear()
  }
  // ssh2 says so before it closes the channels, so a channel that ends now was cut off.
  client.on('close', () => die())

  const open = ({line, mark}: CommandLine, options: ExecOptions): Promise<ExecExit> =>
    new Promise((resolve, reject) => {
      const onSlow = (): void => {
        if (!isSlowTold) settings.onSlowShell?.(slowShell(user, shellMs.slow))
        isSlowTold = true
      }
      const life = {
        beginning: {mark, user, slowMs: shellMs.slow, limitMs: shellMs.limit, onSlow},
        graceMs: exitGraceMs,
        onLost: (action: (error: Error) => void) => {
          whenLost.add(action)
          return () => whenLost.delete(action)
        },
      }
      try {
        client.exec(line, (error, channel) => {
          if (error)
            reject(
              end ??
                (isRefusal(error)
                  ? new Refused(error)
                  : new VmctlError('vmctl::ssh::failed', `The guest did not run the command: ${error.message}.`, {cause: error})),
            )
          else followChannel(channel, options, life).then(resolve, reject)
        })
      } catch (error) {
        // ssh2 throws "Not connected" at once, which may be earlier than it tells that the connection has ended.
        die(error)
        reject(end)
      }
    })

  const inTurn = async (command: CommandLine, options: ExecOptions): Promise<ExecExit> => {
    for (let attempt = 1; ; attempt++) {
      const slot = await slots()
      try {
        options.signal?.throwIfAborted()
        if (end) throw end
        return await open(command, options)
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        if (attempt > retries.count) {
          throw new VmctlError('vmctl::ssh::failed', `The guest does not open a session: ${error.message}.`, {cause: error})
        }
        // A turn that was waited for should have been granted: the server has not yet forgotten the session before it.
        if (slot.waited) await sleep(retries.pauseMs)
        else slot.refused()
      } finally {
        slot.release()
      }
    }
  }

  const exec: GuestConnection['exec'] = async (command, options = {}) => {
    if (!hasShell) throw noShell('Nothing that needs a shell can be done in the guest')
    const mark = `vmctl-${randomBytes(12).toString('hex')}`
    return inTurn({line: anyShell(command, mark), mark}, options)
  }

  let files: Promise<SFTPWrapper> | undefined
  const sftp = (): Promise<SFTPWrapper> => {
    files ??= new Promise<SFTPWrapper>((resolve, reject) => {
      whenLost.add(reject)
      const fail = (error: unknown): void => {
        files = undefined
        reject(end ?? noSftp(error))
      }
      try {
        client.sftp((error, session) => {
          whenLost.delete(reject)
          if (error) return fail(error)
          session.on('close', () => (files = undefined))
          resolve(session)
        })
      } catch (error) {
        die(error)
        fail(error)
      }
    })
    return files
  }

  const forward: GuestConnection['forward'] = (host, port, {signal} = {}) =>
    new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal?.reason)
      signal?.addEventListener('abort', onAbort, {once: true})
      whenLost.add(reject)
      const done = (): void => {
        signal?.removeEventListener('abort', onAbort)
        whenLost.delete(reject)
      }
      try {
        signal?.throwIfAborted()
        client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
          done()
          if (error) reject(end ?? new VmctlError('vmctl::ssh::failed', refusalOf(error, host, port), {cause: error}))
          else if (signal?.aborted) channel.destroy()
          else resolve(channel)
        })
      } catch (error) {
        done()
        if (!signal?.aborted) die(error)
        reject(signal?.aborted ? signal.reason : end)
      }
    })

  return {
    user,
    hostKey,
    key,
    hasShell,
    exec,
    execVerbatim: (line, options = {}) => inTurn({line, mark: undefined}, options),
    sftp,
    forward,
    closed,
    close() {
      reason = 'The connection to the guest was closed.'
      client.end()
      // A guest that is gone never answers the farewell.
      setTimeout(() => stream.destroy(), 1000).unref()
    },
  }
}

/** What goes over the connection, and the line by which it tells that it has begun. */
interface CommandLine {
  readonly line: string
  readonly mark: string | undefined
}

const noSftp = (cause: unknown): VmctlError =>
  new VmctlError('vmctl::guest::no_sftp', `The guest offers no SFTP: ${messageOf(cause)}.`, {cause})

/** The server has no room for another session (RFC 4254, 5.1). */
class Refused extends Error {
  constructor(cause: Error) {
    super(cause.message, {cause})
  }
}

/** RFC 4254, 5.1: why a channel was not opened. */
const refusalOf = (error: Error, host: string, port: number): string => {
  const reason = 'reason' in error ? error.reason : undefined
  if (reason === 1) return `The SSH server of the guest does not forward connections (AllowTcpForwarding of sshd_config(5)).`
  return `Nothing accepts connections at ${host} port ${port} of the guest (${error.message}).`
}

const isRefusal = (error: Error): boolean => 'reason' in error

import type {Duplex} from 'node:stream'

import {stripControls} from '../../model/strip.ts'
import {VmctlError} from '../../model/errors.ts'

// RFC 4253, 4.2: lines may come before the one that starts with "SSH-"; nobody needs more than this for them.
const limitBytes = 8192

/**
 * Waits until the other side has said that it speaks SSH 2, and leaves what it said in the stream.
 *
 * A step of its own because a user-mode network (SLIRP) accepts every connection at once, whether or not anything
 * listens in the guest, and then stays silent.
 * @returns the server's identification, such as `SSH-2.0-OpenSSH_9.2p1`
 * @throws VmctlError `vmctl::ssh::unreachable` when nothing comes, `vmctl::ssh::failed` when it is not SSH
 */
export const awaitGreeting = (
  stream: Duplex,
  {timeoutMs, signal}: {readonly timeoutMs: number; readonly signal?: AbortSignal | undefined},
): Promise<string> =>
  new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0)
    let isForeign = false
    const finish = (action: () => void): void => {
      clearTimeout(timer)
      stream.off('readable', onReadable).off('error', onError).off('end', onEnd).off('close', onEnd)
      signal?.removeEventListener('abort', onAbort)
      // From here on an error must not bring the process down before the next owner listens.
      stream.on('error', () => undefined)
      action()
    }
    const unreachable = (message: string, cause?: unknown): void => {
      finish(() => reject(new VmctlError('vmctl::ssh::unreachable', message, {cause})))
    }
    const onReadable = (): void => {
      for (let chunk = stream.read() as Buffer | null; chunk !== null; chunk = stream.read() as Buffer | null)
        seen = Buffer.concat([seen, chunk])
      const text = seen.toString('latin1')
      const greeting = /(?:^|\n)(SSH-([0-9.]+)-[^\r\n]*)\r?\n/.exec(text)
      if (greeting?.[1] !== undefined && (greeting[2] === '2.0' || greeting[2] === '1.99')) {
        const identification = greeting[1]
        finish(() => {
          stream.unshift(seen)
          resolve(identification)
        })
      } else if (greeting || seen.length > limitBytes) {
        finish(() => reject(noSsh(text)))
      } else if (!isForeign && isOther(text)) {
        isForeign = true
        clearTimeout(timer)
        timer = setTimeout(onTimeout, Math.min(timeoutMs, foreignMs))
      }
    }
    const onError = (error: Error): void => unreachable(`The connection broke before SSH greeted: ${error.message}`, error)
    const onEnd = (): void => unreachable('The connection was closed before SSH greeted.')
    const onAbort = (): void => finish(() => reject(signal?.reason))
    const onTimeout = (): void => {
      if (isOther(seen.toString('latin1'))) finish(() => reject(noSsh(seen.toString('latin1'))))
      else unreachable(`SSH did not greet within ${timeoutMs} ms.`)
    }
    let timer = setTimeout(onTimeout, timeoutMs)
    stream.on('readable', onReadable).on('error', onError).on('end', onEnd).on('close', onEnd)
    signal?.addEventListener('abort', onAbort)
    if (signal?.aborted) onAbort()
    else if (stream.destroyed || stream.readableEnded) onEnd()
    else onReadable()
  })

/** So long somebody who has said something else may take to greet after it, in milliseconds. */
const foreignMs = 5000

/** Whether what was said is neither nothing nor the beginning of a greeting. */
const isOther = (said: string): boolean => {
  const lastLine = said.split('\n').at(-1) ?? ''
  return said !== '' && !(lastLine !== '' && ('SSH-'.startsWith(lastLine) || lastLine.startsWith('SSH-')))
}

/** Whoever has said something else and then nothing more is not a guest that is still starting. */
const noSsh = (said: string): VmctlError =>
  new VmctlError(
    'vmctl::ssh::failed',
    `What answers on the SSH port does not speak SSH 2: ${JSON.stringify(stripControls(said).trim().slice(0, 60))}`,
    {
      help: (vm) => `Find out who listens there: the port of \`vmctl status ${vm}\`, or sshd in the guest.`,
      retry: 'never',
    },
  )

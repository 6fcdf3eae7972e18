import {type FileHandle, open} from 'node:fs/promises'

import {ioError} from '../../host/files.ts'
import {type LogIndex, openLogIndex, type Source} from './log-index.ts'
import type {Delivered} from '../provisioner.ts'

/** The provision log of a VM, appended to while a step runs, so that nothing is lost with the process. */
export interface ProvisionLog extends AsyncDisposable {
  /**
   * Must come before anything is appended: opens the account of one run of a step.
   * @returns how much of that run's output the log holds already
   */
  begin(run: string): Promise<Delivered>
  /**
   * Appends bytes as they are, which must not change from then on; resolves when they are in the file. The beginning of a line waits
   * for its end, at most for a moment, so that the lines of two streams do not cut each other.
   */
  append(source: Source, chunk: Uint8Array | string): Promise<void>
  /** Resolves when everything is in the file. Must come before anything says that the step has ended. */
  settle(): Promise<void>
  /** The last lines of what the step printed since `begin`, for error messages. */
  tail(lines: number): string
}

const tailBytes = 16 * 1024

/** A line that is longer, or that is longer in coming, is written in parts. */
const lineBytes = 64 * 1024
const lineMs = 300

const lineFeed = 0x0a

interface Stretch {
  readonly source: Source
  readonly bytes: Uint8Array
}

export const openProvisionLog = async (paths: {readonly log: string; readonly index: string}): Promise<ProvisionLog> => {
  let handle: FileHandle
  try {
    handle = await open(paths.log, 'a', 0o600)
    await handle.chmod(0o600)
  } catch (error) {
    throw ioError('open', paths.log, error)
  }
  const recent = recentBytes(tailBytes)
  let index: LogIndex | undefined
  let waiting: Stretch[] = []
  /** The write that takes what is waiting; the one before it is under way. */
  let next: Promise<void> | undefined
  let last: Promise<void> = Promise.resolve()

  const write = async (stretches: readonly Stretch[]): Promise<void> => {
    if (!index) throw new Error('Nothing was begun in the provision log.')
    await index.announce(stretches.map(({source, bytes}) => [source, bytes.length]))
    await writeAll(
      handle,
      stretches.map(({bytes}) => bytes),
    ).catch((error: unknown) => {
      throw ioError('write', paths.log, error)
    })
  }
  const enqueue = (stretch: Stretch): Promise<void> => {
    waiting.push(stretch)
    if (next) return next
    // After a failed write it is not known what the log holds; everything later fails with it, until the next `begin`.
    next = last.then(() => {
      const stretches = waiting
      waiting = []
      next = undefined
      return write(stretches)
    })
    last = next
    last.catch(() => undefined)
    return next
  }
  const held: Record<'stdout' | 'stderr', Uint8Array[]> = {stdout: [], stderr: []}
  let timer: NodeJS.Timeout | undefined
  const release = (source: 'stdout' | 'stderr'): void => {
    for (const bytes of held[source].splice(0)) void enqueue({source, bytes})
  }
  const settle = async (): Promise<void> => {
    clearTimeout(timer)
    release('stdout')
    release('stderr')
    await last
  }
  /** Writes up to the end of the last line, and holds the rest. */
  const appendLines = async (source: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> => {
    const end = bytes.lastIndexOf(lineFeed) + 1
    const heldBytes = held[source].reduce((sum, one) => sum + one.length, 0)
    const isLong = bytes.length - end + (end === 0 ? heldBytes : 0) > lineBytes
    if (end > 0 || isLong) {
      release(source)
      const whole = isLong ? bytes : bytes.subarray(0, end)
      const written = enqueue({source, bytes: whole})
      if (!isLong && end < bytes.length) held[source].push(bytes.subarray(end))
      await written
    } else held[source].push(bytes)
    clearTimeout(timer)
    if (held.stdout.length + held.stderr.length > 0) timer = setTimeout(() => void settle().catch(() => undefined), lineMs)
  }
  return {
    async begin(run) {
      await settle().catch(() => undefined)
      await index?.[Symbol.asyncDispose]()
      const opened = await openLogIndex(paths, run)
      index = opened.index
      recent.clear()
      waiting = []
      next = undefined
      last = Promise.resolve()
      return opened.delivered
    },
    append(source, chunk) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
      if (source !== 'note') {
        recent.add(bytes)
        return appendLines(source, bytes)
      }
      release('stdout')
      release('stderr')
      return enqueue({source, bytes})
    },
    settle,
    tail: (lines) => recent.bytes().toString().trimEnd().split('\n').slice(-lines).join('\n'),
    async [Symbol.asyncDispose]() {
      await settle().catch(() => undefined)
      await index?.[Symbol.asyncDispose]()
      await handle.close()
    },
  }
}

/** writev(2) may write less than it was given. */
const writeAll = async (handle: FileHandle, buffers: readonly Uint8Array[]): Promise<void> => {
  for (let rest = [...buffers]; rest.length > 0;) {
    let {bytesWritten} = await handle.writev(rest)
    while (rest[0] && bytesWritten >= rest[0].length) bytesWritten -= rest.shift()?.length ?? 0
    if (rest[0] && bytesWritten > 0) rest = [rest[0].subarray(bytesWritten), ...rest.slice(1)]
  }
}

/** The last bytes of what was added, which is not copied until somebody asks. */
const recentBytes = (limit: number) => {
  let chunks: Uint8Array[] = []
  let length = 0
  return {
    add(bytes: Uint8Array): void {
      chunks.push(bytes)
      length += bytes.length
      while (chunks[0] && length - chunks[0].length >= limit) length -= chunks.shift()?.length ?? 0
    },
    bytes: (): Buffer => Buffer.concat(chunks).subarray(-limit),
    clear(): void {
      chunks = []
      length = 0
    },
  }
}

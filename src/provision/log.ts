import {type FileHandle, open} from 'node:fs/promises'

import {ioError} from '../host/files.ts'
import {type LogIndex, openLogIndex, type Source} from './log-index.ts'
import type {Delivered} from './provisioner.ts'

/** The provision log of a VM, appended to while a step runs, so that nothing is lost with the process. */
export interface ProvisionLog extends AsyncDisposable {
  /**
   * Must come before anything is appended: opens the account of one run of a step.
   * @returns how much of that run's output the log holds already
   */
  begin(run: string): Promise<Delivered>
  /** Appends bytes as they are; writes are in the order of the calls. */
  append(source: Source, chunk: Uint8Array | string): Promise<void>
  /** The last lines of what the step printed since `begin`, for error messages. */
  tail(lines: number): string
}

const tailBytes = 16 * 1024

export const openProvisionLog = async (paths: {readonly log: string; readonly index: string}): Promise<ProvisionLog> => {
  let handle: FileHandle
  try {
    handle = await open(paths.log, 'a', 0o600)
    await handle.chmod(0o600)
  } catch (error) {
    throw ioError('open', paths.log, error)
  }
  let recent = Buffer.alloc(0)
  let index: LogIndex | undefined
  let queue: Promise<void> = Promise.resolve()

  const write = async (source: Source, bytes: Buffer): Promise<void> => {
    if (!index) throw new Error('Nothing was begun in the provision log.')
    await index.announce(source, bytes.length)
    await handle.appendFile(bytes).catch((error: unknown) => {
      throw ioError('write', paths.log, error)
    })
  }
  return {
    async begin(run) {
      await index?.[Symbol.asyncDispose]()
      const opened = await openLogIndex(paths, run)
      index = opened.index
      recent = Buffer.alloc(0)
      queue = Promise.resolve()
      return opened.delivered
    },
    append(source, chunk) {
      const bytes = Buffer.from(chunk)
      if (source !== 'note') recent = Buffer.concat([recent, bytes.subarray(-tailBytes)]).subarray(-tailBytes)
      // After a failed write it is not known what the log holds; everything later fails with it, until the next `begin`.
      queue = queue.then(() => write(source, bytes))
      queue.catch(() => undefined)
      return queue
    },
    tail: (lines) => recent.toString().trimEnd().split('\n').slice(-lines).join('\n'),
    async [Symbol.asyncDispose]() {
      await queue.catch(() => undefined)
      await index?.[Symbol.asyncDispose]()
      await handle.close()
    },
  }
}

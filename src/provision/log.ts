import {type FileHandle, open} from 'node:fs/promises'

import {ioError} from '../host/files.ts'

/** The provision log of a VM, appended to while a step runs, so that nothing is lost with the process. */
export interface ProvisionLog extends AsyncDisposable {
  /** Appends bytes as they are; writes are in the order of the calls. */
  append(chunk: Uint8Array | string): Promise<void>
  /** The last lines of what was appended since `mark`, for error messages. */
  tail(lines: number): string
  mark(): void
}

const tailBytes = 16 * 1024

export const openProvisionLog = async (path: string): Promise<ProvisionLog> => {
  let handle: FileHandle
  try {
    handle = await open(path, 'a', 0o600)
    await handle.chmod(0o600)
  } catch (error) {
    throw ioError('open', path, error)
  }
  let recent = Buffer.alloc(0)
  let queue = Promise.resolve()
  return {
    append(chunk) {
      const bytes = Buffer.from(chunk)
      recent = bytes.length >= tailBytes ? bytes.subarray(-tailBytes) : Buffer.concat([recent, bytes]).subarray(-tailBytes)
      const written = queue.then(() => handle.appendFile(bytes))
      queue = written.catch(() => undefined)
      return written.catch((error: unknown) => {
        throw ioError('write', path, error)
      })
    },
    mark() {
      recent = Buffer.alloc(0)
    },
    tail: (lines) => recent.toString().trimEnd().split('\n').slice(-lines).join('\n'),
    async [Symbol.asyncDispose]() {
      await queue
      await handle.close()
    },
  }
}

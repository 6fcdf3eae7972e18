import {createReadStream} from 'node:fs'
import {open} from 'node:fs/promises'
import {dirname} from 'node:path'

import {freeSpaceBytes} from '../host/disk-space.ts'
import {createSparseWriter} from '../host/sparse-writer.ts'
import {messageOf} from '../model/errors.ts'
import type {Compression} from './compression.ts'
import {checkSize, decompressStream} from './decompress.ts'
import {tooLarge} from './storage-error.ts'

export interface ArchiveStream {
  readonly signal: AbortSignal
  /** Gets the bytes of the file that were read so far. */
  readonly onRead?: (readBytes: number) => void
}

/**
 * What a file holds, as it streams by: decompressed, or as it is. Who has enough stops reading.
 * @throws VmctlError `vmctl::image::decompression_failed`
 */
export async function* contentOf(
  {path, compression}: {readonly path: string; readonly compression: Compression | undefined},
  {signal, onRead}: ArchiveStream,
): AsyncGenerator<Buffer> {
  const input = createReadStream(path, {highWaterMark: 2 ** 20, signal})
  let offered = Promise.withResolvers<Buffer | undefined>()
  let taken = Promise.withResolvers<void>()
  const sink = async (chunk: Buffer): Promise<void> => {
    offered.resolve(chunk)
    await taken.promise
    onRead?.(input.bytesRead)
  }
  const fill = async (): Promise<void> => {
    if (compression === undefined) for await (const chunk of input) await sink(chunk as Buffer)
    else await decompressStream(input, compression, {signal, sink})
  }
  const filled = fill().then(
    () => offered.resolve(undefined),
    (error: unknown) => offered.reject(error instanceof Error ? error : new Error(messageOf(error))),
  )
  try {
    for (let chunk = await offered.promise; chunk; chunk = await offered.promise) {
      yield chunk
      const {resolve} = taken
      ;[offered, taken] = [Promise.withResolvers(), Promise.withResolvers()]
      resolve()
    }
  } finally {
    // Whoever waits for his chunk to be taken hears that nobody will.
    taken.promise.catch(() => undefined)
    offered.promise.catch(() => undefined)
    taken.reject(new Error('Nobody reads on.'))
    input.destroy()
    await filled
  }
}

/**
 * Writes a disk to a new file, and leaves holes where it is zero.
 * @param onChunk gets what is written
 * @returns its length in bytes
 * @throws VmctlError `vmctl::image::no_space` before the file system is full
 */
export const writeDisk = async (
  content: AsyncIterable<Buffer>,
  destination: string,
  {signal, onChunk}: {readonly signal: AbortSignal; readonly onChunk?: (chunk: Buffer) => void},
): Promise<number> => {
  await using handle = await open(destination, 'wx', 0o600)
  const writer = createSparseWriter(handle)
  const budgetBytes = await freeSpaceBytes(dirname(destination))
  for await (const chunk of content) {
    signal.throwIfAborted()
    checkSize(writer.sizeBytes + chunk.length)
    await writer.write(chunk)
    onChunk?.(chunk)
    if (writer.writtenBytes > budgetBytes) throw tooLarge(budgetBytes)
  }
  await writer.finish()
  await handle.sync()
  return writer.sizeBytes
}

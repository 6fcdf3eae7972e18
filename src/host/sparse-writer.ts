import type {FileHandle} from 'node:fs/promises'

const blockBytes = 64 * 1024
const zeros = Buffer.alloc(blockBytes)

export interface SparseWriter {
  /** Appends bytes; 64 KiB blocks of zeros become holes. One call at a time. */
  write(chunk: Buffer): Promise<void>
  /** Gives the file its length, which a hole at the end does not. May be called in between, too. */
  finish(): Promise<void>
  /** Length of the file so far, holes included. */
  readonly sizeBytes: number
  /** Bytes that this writer really wrote. */
  readonly writtenBytes: number
}

/**
 * Writes a file front to back and leaves holes where there is nothing but zeros. The handle stays the caller's.
 * @param startBytes where to go on in a file that is just so long
 */
export const createSparseWriter = (handle: FileHandle, startBytes = 0): SparseWriter => {
  let sizeBytes = startBytes
  let writtenBytes = 0
  return {
    get sizeBytes() {
      return sizeBytes
    },
    get writtenBytes() {
      return writtenBytes
    },
    async write(chunk) {
      for (const run of dataRuns(chunk, sizeBytes)) {
        await writeFully(handle, chunk.subarray(run.start, run.end), sizeBytes + run.start)
        writtenBytes += run.end - run.start
      }
      sizeBytes += chunk.length
    },
    async finish() {
      await handle.truncate(sizeBytes)
    },
  }
}

/** The parts of a chunk that are not zero, neighbours joined; blocks are those of the file, not of the chunk. */
function* dataRuns(chunk: Buffer, position: number): Generator<{start: number; end: number}> {
  let runStart: number | undefined
  let end = 0
  for (let start = 0; start < chunk.length; start = end) {
    end = Math.min(chunk.length, start + blockBytes - ((position + start) % blockBytes))
    // Buffer.compare is memcmp(3): it gives up at the first byte that differs, which data has early.
    const isZero = zeros.compare(chunk, start, end, 0, end - start) === 0
    if (isZero && runStart !== undefined) {
      yield {start: runStart, end: start}
      runStart = undefined
    } else if (!isZero) runStart ??= start
  }
  if (runStart !== undefined) yield {start: runStart, end: chunk.length}
}

const writeFully = async (handle: FileHandle, data: Buffer, position: number): Promise<void> => {
  for (let done = 0; done < data.length;) {
    const {bytesWritten} = await handle.write(data, done, data.length - done, position + done)
    done += bytesWritten
  }
}

import {VmctlError} from '../model/errors.ts'
import {isSkippableFrame} from './compression.ts'

/** The header of one frame (RFC 8878, 3.1.1.1). */
export interface ZstdFrame {
  /** Offset of the frame in the compressed file. */
  readonly offset: number
  readonly windowBytes: number
  /** Length of its content, when the compressor knew it. */
  readonly contentBytes: number | undefined
}

export interface ZstdFrameVisitor {
  /** A frame begins; its bytes follow, the header included. Skippable frames are not reported. */
  readonly begin: (frame: ZstdFrame) => Promise<void>
  readonly data: (chunk: Buffer) => Promise<void>
  readonly end: (frame: ZstdFrame) => Promise<void>
}

/** What the zstd program accepts without `--long`: 128 MiB. */
const maxWindowBytes = 2 ** 27
const magicNumber = 0xfd2f_b528
const maxHeaderBytes = 18

/**
 * Cuts a zstd file into its frames. Node's decoder stops at the end of the first one, drops the rest of that chunk,
 * and tells truncation or garbage only with luck (nodejs/node#64741), so each frame gets a decoder of its own.
 * @throws VmctlError `vmctl::image::decompression_failed` with the offset, for anything but whole frames
 */
export const walkZstdFrames = async (chunks: AsyncIterable<Buffer>, visitor: ZstdFrameVisitor): Promise<void> => {
  const reader = createByteReader(chunks)
  let frames = 0
  for (; !(await reader.atEnd()); frames++) {
    const offset = reader.offset
    const magic = (await reader.peek(4))?.readUInt32LE(0)
    if (magic === magicNumber) await walkFrame(reader, visitor, offset)
    else if (magic !== undefined && isSkippableFrame(magic)) await skipFrame(reader)
    else if (magic === undefined) throw truncated(reader.offset)
    else throw damaged(frames === 0 ? 'it is not a zstd file' : 'there is something else after the last frame', offset)
  }
  if (frames === 0) throw damaged('the file is empty', 0)
}

const walkFrame = async (reader: ByteReader, visitor: ZstdFrameVisitor, offset: number): Promise<void> => {
  const header = await readHeader(reader, offset)
  await visitor.begin(header.frame)
  await reader.pass(header.length, visitor.data)
  for (let isLast = false; !isLast;) {
    const block = await reader.peek(3)
    if (!block) throw truncated(reader.offset)
    const bits = block.readUIntLE(0, 3)
    const type = (bits >> 1) & 3
    if (type === 3) throw damaged('a block is of a reserved type', reader.offset)
    isLast = (bits & 1) === 1
    // A run-length block (type 1) holds the one byte that it repeats.
    await reader.pass(3 + (type === 1 ? 1 : bits >> 3), visitor.data)
  }
  if (header.hasChecksum) await reader.pass(4, visitor.data)
  await visitor.end(header.frame)
}

const skipFrame = async (reader: ByteReader): Promise<void> => {
  const header = await reader.peek(8)
  if (!header) throw truncated(reader.offset)
  await reader.pass(8 + header.readUInt32LE(4), async () => undefined)
}

const readHeader = async (reader: ByteReader, offset: number): Promise<{frame: ZstdFrame; length: number; hasChecksum: boolean}> => {
  const descriptor = (await reader.peek(5))?.[4]
  if (descriptor === undefined) throw truncated(reader.offset)
  if (descriptor & 0x08) throw damaged('the frame header uses a reserved bit', offset)
  const {isSingleSegment, dictionaryBytes, contentSizeBytes, length} = headerLayout(descriptor)
  const header = await reader.peek(length)
  if (!header) throw truncated(reader.offset)
  if (header.subarray(length - contentSizeBytes - dictionaryBytes, length - contentSizeBytes).some((byte) => byte !== 0)) {
    throw damaged('it needs a dictionary', offset)
  }
  const contentBytes = readContentSize(header.subarray(length - contentSizeBytes))
  const windowBytes = isSingleSegment ? (contentBytes ?? 0) : windowOf(header[5] ?? 0)
  if (windowBytes > maxWindowBytes) {
    throw damaged(
      `it needs a window of ${Math.ceil(windowBytes / 2 ** 20)} MiB, and 128 MiB is the limit (compress it without --long)`,
      offset,
    )
  }
  return {frame: {offset, windowBytes, contentBytes}, length, hasChecksum: (descriptor & 0x04) !== 0}
}

/** Which optional fields a header has, and how long it is with them. */
const headerLayout = (descriptor: number) => {
  const isSingleSegment = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0
  const contentSizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  return {isSingleSegment, dictionaryBytes, contentSizeBytes, length: 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes + contentSizeBytes}
}

const readContentSize = (field: Buffer): number | undefined => {
  if (field.length === 0) return undefined
  if (field.length === 8) return Number(field.readBigUInt64LE(0))
  return field.readUIntLE(0, field.length) + (field.length === 2 ? 256 : 0)
}

const windowOf = (descriptor: number): number => {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}

interface ByteReader {
  /** Offset of the next byte in the file. */
  readonly offset: number
  atEnd(): Promise<boolean>
  /** The next bytes, at most 18, without taking them; undefined when there are fewer. */
  peek(length: number): Promise<Buffer | undefined>
  /** Hands on the next bytes. Throws when the file ends before. */
  pass(length: number, sink: (chunk: Buffer) => Promise<void>): Promise<void>
}

const createByteReader = (chunks: AsyncIterable<Buffer>): ByteReader => {
  const iterator = chunks[Symbol.asyncIterator]()
  let current: Buffer = Buffer.alloc(0)
  let offset = 0
  const refill = async (): Promise<boolean> => {
    const next = await iterator.next()
    if (next.done) return false
    current = current.length === 0 ? next.value : Buffer.concat([current, next.value])
    return true
  }
  return {
    get offset() {
      return offset
    },
    async atEnd() {
      while (current.length === 0) if (!(await refill())) return true
      return false
    },
    async peek(length) {
      while (current.length < Math.min(length, maxHeaderBytes)) if (!(await refill())) return undefined
      return current.subarray(0, length)
    },
    async pass(length, sink) {
      for (let left = length; left > 0;) {
        if (current.length === 0 && !(await refill())) throw truncated(offset)
        const part = current.subarray(0, left)
        current = current.subarray(part.length)
        offset += part.length
        left -= part.length
        await sink(part)
      }
    },
  }
}

const truncated = (offset: number): VmctlError => damaged('it is cut off', offset)

const damaged = (what: string, offset: number): VmctlError =>
  new VmctlError('vmctl::image::decompression_failed', `zstd: ${what} (at byte ${offset}).`, {details: {offset}})

import {once} from 'node:events'
import {createZstdDecompress} from 'node:zlib'

import {isVmctlError, messageOf, VmctlError} from '../model/errors.ts'
import {walkZstdFrames, type ZstdFrame} from './zstd-frames.ts'

/** Takes decompressed bytes; its promise is the back-pressure. */
export type Sink = (chunk: Buffer) => Promise<void>

export interface ZstdOptions {
  /** Called at each frame that tells its length, before it is decoded; throws to refuse it. */
  readonly onContentSize?: (contentBytes: number) => void
}

interface FrameDecoder {
  write(chunk: Buffer): Promise<void>
  /** Resolves to the bytes of content once the sink has taken all. */
  end(): Promise<number>
  destroy(): void
}

/** Output comes in pieces of this size; 1 MiB halves the cost of the default 16 KiB. */
const outputBytes = 2 ** 20
const inputBytes = 2 ** 20

/**
 * Decompresses all frames of a zstd file, in constant memory.
 * @throws VmctlError `vmctl::image::decompression_failed` for damage, truncation, trailing bytes and windows above 128 MiB
 */
export const decompressZstd = async (chunks: AsyncIterable<Buffer>, sink: Sink, options: ZstdOptions = {}): Promise<void> => {
  let decoder: FrameDecoder | undefined
  let pending: Buffer | undefined
  const flush = async (): Promise<void> => {
    const data = pending
    pending = undefined
    if (data) await decoder?.write(data)
  }
  try {
    await walkZstdFrames(chunks, {
      async begin(frame) {
        if (frame.contentBytes !== undefined) options.onContentSize?.(frame.contentBytes)
        decoder = streamFrame(frame, sink)
      },
      async data(chunk) {
        // The walker hands on block by block; neighbours in memory go to the decoder in one call.
        if (
          pending &&
          pending.buffer === chunk.buffer &&
          pending.byteOffset + pending.length === chunk.byteOffset &&
          pending.length < inputBytes
        ) {
          pending = Buffer.from(pending.buffer, pending.byteOffset, pending.length + chunk.length)
          return
        }
        await flush()
        pending = chunk
      },
      async end(frame) {
        await flush()
        const contentBytes = await decoder?.end()
        if (frame.contentBytes !== undefined && contentBytes !== frame.contentBytes) {
          throw frameError(frame, `it holds ${contentBytes} bytes and announces ${frame.contentBytes}`)
        }
      },
    })
  } finally {
    decoder?.destroy()
  }
}

const streamFrame = (frame: ZstdFrame, sink: Sink): FrameDecoder => {
  const decoder = createZstdDecompress({chunkSize: outputBytes})
  let contentBytes = 0
  const drained = (async () => {
    for await (const chunk of decoder) {
      contentBytes += (chunk as Buffer).length
      await sink(chunk as Buffer)
    }
  })().catch((error: unknown) => {
    // The sink's own failures (a full disk, an interrupt) keep their meaning.
    throw isDecoderError(error) ? frameError(frame, messageOf(error), error) : error
  })
  drained.catch(() => undefined)
  return {
    async write(chunk) {
      if (decoder.destroyed) await drained
      else if (!decoder.write(chunk)) await Promise.race([once(decoder, 'drain').catch(() => drained), drained])
    },
    async end() {
      decoder.end()
      await drained
      return contentBytes
    },
    destroy: () => void decoder.destroy(),
  }
}

const isDecoderError = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(?:ZSTD_|Z_|ERR_ZSTD|ERR_ZLIB)/.test(String(error.code))

const frameError = (frame: ZstdFrame, what: string, cause?: unknown): VmctlError =>
  isVmctlError(cause)
    ? cause
    : new VmctlError('vmctl::image::decompression_failed', `zstd: the frame at byte ${frame.offset} is damaged: ${what}.`, {
        cause,
        details: {offset: frame.offset},
      })

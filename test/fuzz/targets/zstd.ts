import {strict as assert} from 'node:assert'
import {zstdDecompressSync} from 'node:zlib'

import {isSkippableFrame} from '../../../src/image/compression.ts'
import {decompressZstd} from '../../../src/image/zstd.ts'
import {walkZstdFrames} from '../../../src/image/zstd-frames.ts'
import {isFailure} from '../../../src/model/errors.ts'
import {pureTrial, resultOrFailure, type Target} from '../target.ts'

async function* pieces(input: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < input.length; at += 100) yield input.subarray(at, at + 100)
}

class TooMuch extends Error {}

const contentLimit = 8 * 2 ** 20

export const zstd: Target = {
  about: 'a zstd file: its frames, and what comes out of them',
  dictionary: ['\u0028', '\x50\x2a\x4d\x18', '\0\0\0\0'],
  open: () =>
    pureTrial(async (input) => {
      let passed = 0
      let frames = 0
      const walk = walkZstdFrames(pieces(input), {
        begin: async ({offset, windowBytes}) => {
          frames += 1
          assert.ok(offset < input.length && windowBytes <= 2 ** 27)
        },
        data: async (chunk) => void (passed += chunk.length),
        end: async () => undefined,
      })
      const isWhole = await walk.then(
        () => true,
        (error: unknown) => {
          assert.ok(isFailure(error, 'vmctl::image::decompression_failed'), String(error))
          assert.ok(Number(error.details.offset) <= input.length)
          return false
        },
      )
      assert.ok(passed <= input.length)
      const content: Buffer[] = []
      let size = 0
      const decoded = await resultOrFailure(['vmctl::image::decompression_failed'], async () => {
        try {
          await decompressZstd(pieces(input), async (chunk) => {
            content.push(chunk)
            size += chunk.length
            if (size > contentLimit) throw new TooMuch()
          })
          return true
        } catch (error) {
          if (error instanceof TooMuch) return undefined
          throw error
        }
      })
      if (!decoded) return
      assert.ok(isWhole, 'decoded, and not whole')
      // The decoder of Node sees the first frame only, so it is a second opinion on a file of one frame.
      const isPlain = frames === 1 && !isSkippableFrame(input.readUInt32LE(0)) && passed === input.length
      if (isPlain) assert.ok(zstdDecompressSync(input, {maxOutputLength: contentLimit}).equals(Buffer.concat(content)))
    }),
}

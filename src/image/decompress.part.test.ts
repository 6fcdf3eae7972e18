import {existsSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {Readable} from 'node:stream'
import {gzipSync} from 'node:zlib'

import {afterAll, beforeAll, describe, expect, it} from 'vitest'

import {makeDirectory, makeRawDisk, through} from '../../test/support/images.ts'
import type {Compression} from './compression.ts'
import {detectCompression} from './compression.ts'
import {decompressFile} from './decompress.ts'
import {decompressZstd} from './zstd.ts'
import {walkZstdFrames} from './zstd-frames.ts'

const {signal} = new AbortController()
const first = makeRawDisk(300_000)
const second = makeRawDisk(200_000, 2)
const both = Buffer.concat([first, second])
let directory: string

beforeAll(() => {
  directory = makeDirectory()
})

afterAll(() => rmSync(directory, {recursive: true, force: true}))

const decompress = async (content: Buffer, compression: Compression): Promise<Buffer> => {
  const path = join(directory, 'in')
  const destination = join(directory, 'out')
  writeFileSync(path, content)
  rmSync(destination, {force: true})
  await decompressFile({path, compression}, destination, {signal})
  return readFileSync(destination)
}

const programs: Readonly<Record<Compression, string>> = {zstd: 'zstd', gzip: 'gzip', xz: 'xz', bzip2: 'bzip2'}

describe.each(Object.keys(programs) as Compression[])('%s', (compression) => {
  const packed = (content: Buffer): Buffer => through(content, programs[compression])
  const failure = {code: 'vmctl::image::decompression_failed'}

  it('gives back what was compressed, in one stream or several', async () => {
    expect((await decompress(packed(first), compression)).equals(first)).toBe(true)
    expect((await decompress(Buffer.concat([packed(first), packed(second)]), compression)).equals(both)).toBe(true)
    expect(await decompress(packed(Buffer.alloc(0)), compression)).toHaveLength(0)
  })

  it('refuses truncated input', async () => {
    const whole = packed(first)
    for (const length of [0, 1, 5, 10, 100, whole.length / 2, whole.length - 9, whole.length - 1].map(Math.floor)) {
      await expect(decompress(whole.subarray(0, length), compression), `${length} bytes`).rejects.toMatchObject(failure)
    }
    const multi = Buffer.concat([whole, packed(second)])
    for (const length of [whole.length + 3, multi.length - 2]) {
      await expect(decompress(multi.subarray(0, length), compression), `${length} bytes`).rejects.toMatchObject(failure)
    }
  })

  it('refuses trailing bytes', async () => {
    const garbage = Buffer.concat([packed(first), Buffer.from('something else')])
    await expect(decompress(garbage, compression)).rejects.toMatchObject(failure)
  })

  it('refuses a changed byte anywhere in the data', async () => {
    const whole = packed(first)
    for (let at = 0.05; at < 1; at += 0.15) {
      const damaged = Buffer.from(whole)
      const index = Math.floor(at * whole.length)
      damaged[index] = (damaged[index] ?? 0) ^ 0x55
      await expect(decompress(damaged, compression), `byte ${index}`).rejects.toMatchObject(failure)
    }
  })

  it('leaves holes where there is nothing', async () => {
    const sparse = Buffer.concat([first, Buffer.alloc(6 * 2 ** 20), second, Buffer.alloc(2 * 2 ** 20 + 17)])
    expect((await decompress(packed(sparse), compression)).equals(sparse)).toBe(true)
    expect(statSync(join(directory, 'out')).blocks * 512).toBeLessThan(2 ** 20)
  })

  it('stops when it is cancelled', async () => {
    const zeros = packed(Buffer.alloc(16 * 2 ** 20))
    const path = join(directory, 'in')
    // Enough for seconds, also where a program is watched ten times a second.
    writeFileSync(path, Buffer.concat(Array.from({length: 1000}, () => zeros)))
    const controller = new AbortController()
    rmSync(join(directory, 'out'), {force: true})
    const cancelled = decompressFile({path, compression}, join(directory, 'out'), {
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    })
    await expect(cancelled).rejects.toThrow('enough')
  })
})

const chunked = (content: Buffer, ...cuts: readonly number[]): Readable =>
  Readable.from([0, ...cuts].map((start, index) => content.subarray(start, cuts[index])).filter((chunk) => chunk.length > 0))

const collect = async (input: AsyncIterable<Buffer>): Promise<Buffer> => {
  const parts: Buffer[] = []
  await decompressZstd(input, async (chunk) => void parts.push(chunk))
  return Buffer.concat(parts)
}

describe('zstd frames', () => {
  const skippable = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
  const small = Buffer.from('a small frame that is cut at every byte '.repeat(20))

  it('are found however the input is cut: several, skippable, with and without checksum', async () => {
    const frames = Buffer.concat([
      skippable,
      through(small, 'zstd'),
      skippable,
      through(small, 'zstd', '--no-check'),
      through(Buffer.alloc(0), 'zstd'),
      skippable,
    ])
    const expected = Buffer.concat([small, small])
    for (let cut = 0; cut <= frames.length; cut++) expect((await collect(chunked(frames, cut))).equals(expected), `cut ${cut}`).toBe(true)
    const bytes = Readable.from(Array.from(frames, (byte) => Buffer.from([byte])))
    expect((await collect(bytes)).equals(expected)).toBe(true)
  })

  it('are errors when they are cut off, wherever that is', async () => {
    const frames = Buffer.concat([through(small, 'zstd'), skippable])
    const whole = through(small, 'zstd').length
    for (let length = 0; length < frames.length; length++) {
      if (length === whole) continue
      await expect(collect(chunked(frames.subarray(0, length))), `${length} bytes`).rejects.toMatchObject({
        code: 'vmctl::image::decompression_failed',
      })
    }
  })

  it('name their offset when they are damaged', async () => {
    const frame = through(small, 'zstd')
    const damaged = through(small, 'zstd')
    damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1
    await expect(collect(chunked(Buffer.concat([frame, damaged])))).rejects.toMatchObject({
      message: expect.stringContaining(`byte ${frame.length}`),
    })
  })

  it.each([
    ['a window of 256 MiB', [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x90], /window of 256 MiB/],
    ['a dictionary', [0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x50, 0x07], /dictionary/],
    ['a reserved bit', [0x28, 0xb5, 0x2f, 0xfd, 0x08, 0x50], /reserved bit/],
    ['a reserved block type', [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50, 0x07, 0, 0], /reserved type/],
    ['another magic', [1, 2, 3, 4, 5, 6, 7], /not a zstd file/],
  ])('are refused with %s', async (_, bytes, message) => {
    await expect(collect(Readable.from([Buffer.from(bytes)]))).rejects.toMatchObject({message: expect.stringMatching(message)})
  })

  it('are refused when their content is longer than a disk can be, before anything is decoded', async () => {
    const header = Buffer.alloc(14)
    header.set([0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x50])
    header.writeBigUInt64LE(2n ** 50n, 6)
    await expect(decompress(header, 'zstd')).rejects.toMatchObject({message: expect.stringContaining('16 TiB')})
  })

  it('are told with window and length', async () => {
    const seen: (number | undefined)[] = []
    await walkZstdFrames(chunked(through(first, 'zstd')), {
      begin: async ({contentBytes}) => void seen.push(contentBytes),
      data: async () => undefined,
      end: async () => undefined,
    })
    expect(seen).toHaveLength(1)
  })
})

describe('the compression of a file', () => {
  it('is told by its bytes, with or without a name', () => {
    for (const [compression, program] of Object.entries(programs)) {
      expect(detectCompression('download', through(first, program).subarray(0, 64))).toBe(compression)
    }
    expect(detectCompression('disk.qcow2', first.subarray(0, 64))).toBeUndefined()
  })

  it('must be what the name promises', () => {
    for (const name of ['a.zst', 'a.zstd', 'a.gz', 'a.xz', 'a.bz2', 'A.ZST']) {
      expect(() => detectCompression(name, Buffer.from('<!DOCTYPE html>'))).toThrow(/is not compressed with/)
    }
    expect(() => detectCompression('a.xz', gzipSync('x'))).toThrow(/but with gzip/)
  })
})

const withoutPrograms = async (action: () => Promise<unknown>): Promise<void> => {
  const {PATH} = process.env
  process.env.PATH = directory
  try {
    await action()
  } finally {
    process.env.PATH = PATH
  }
}

it('says which package is missing', async () => {
  await withoutPrograms(() =>
    expect(decompress(Buffer.from('x'), 'xz')).rejects.toMatchObject({
      code: 'vmctl::host::not_installed',
      help: expect.stringContaining('xz-utils'),
    }),
  )
  expect(existsSync(join(directory, 'in'))).toBe(true)
})

it('needs no program for zstd', async () => {
  const packed = through(first, 'zstd')
  await withoutPrograms(async () => {
    expect((await decompress(packed, 'zstd')).equals(first)).toBe(true)
    await expect(decompress(packed.subarray(0, -9), 'zstd')).rejects.toMatchObject({code: 'vmctl::image::decompression_failed'})
  })
})

import {open, readFile, stat} from 'node:fs/promises'
import {join} from 'node:path'

import {expect, it} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {createSparseWriter} from './sparse-writer.ts'

const KiB = 1024

const writeAll = async (content: Buffer, chunkBytes: number) => {
  const directory = temporaryDirectory()
  const path = join(directory, 'file')
  await using handle = await open(path, 'w')
  const writer = createSparseWriter(handle)
  for (let at = 0; at < content.length; at += chunkBytes) await writer.write(content.subarray(at, at + chunkBytes))
  await writer.finish()
  return {content: await readFile(path), allocatedBytes: (await stat(path)).blocks * 512, writtenBytes: writer.writtenBytes}
}

it.each([1000, 4096, 64 * KiB, 100 * KiB, 1024 * KiB])('keeps every byte and every hole with chunks of %i bytes', async (chunkBytes) => {
  const content = Buffer.alloc(1024 * KiB + 77)
  for (const [start, end] of [
    [0, 10],
    [130 * KiB, 131 * KiB],
    [192 * KiB, 256 * KiB],
    [512 * KiB - 1, 512 * KiB + 1],
  ] as const)
    content.fill(1, start, end)
  const result = await writeAll(content, chunkBytes)
  expect(result.content.equals(content)).toBe(true)
  expect(result.writtenBytes).toBeLessThan(450 * KiB)
  expect(result.allocatedBytes).toBeLessThan(450 * KiB)
})

it('writes nothing of a file of zeros, whose length it keeps', async () => {
  const {content, writtenBytes} = await writeAll(Buffer.alloc(300 * KiB + 1), 64 * KiB)
  expect(content.equals(Buffer.alloc(300 * KiB + 1))).toBe(true)
  expect(writtenBytes).toBe(0)
})

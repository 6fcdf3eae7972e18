import {randomBytes} from 'node:crypto'
import {createReadStream} from 'node:fs'
import {once} from 'node:events'
import {PassThrough, Readable} from 'node:stream'
import {buffer} from 'node:stream/consumers'

import {expect, test} from 'vitest'

import {tee} from './tee.ts'

const reader = (readers: readonly Readable[], index: number): Readable => {
  const found = readers[index]
  if (!found) throw new Error('no such reader')
  return found
}

test('each reader gets every byte, also a slow one and a late one', async () => {
  const bytes = randomBytes(3_000_000)
  const readers = tee(Readable.from([bytes.subarray(0, 5), bytes.subarray(5, 1_000_000), bytes.subarray(1_000_000)]), 3)
  const slow = async (): Promise<Buffer> => {
    const chunks: Buffer[] = []
    for await (const chunk of reader(readers, 2)) {
      await new Promise((resolve) => setImmediate(resolve))
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }
  const all = await Promise.all([buffer(reader(readers, 0)), buffer(reader(readers, 1)), slow()])
  expect(all.map((one) => one.equals(bytes))).toEqual([true, true, true])
})

test('one that has gone does not hold up the others', async () => {
  const readers = tee(Readable.from([randomBytes(500_000), Buffer.from('end')]), 2)
  reader(readers, 0).destroy()
  expect((await buffer(reader(readers, 1))).toString('latin1')).toMatch(/end$/)
})

test('the source is given up with the last reader, also while it has nothing to say', async () => {
  const source = new PassThrough()
  const readers = tee(source, 2)
  reader(readers, 0).destroy()
  await new Promise((resolve) => setImmediate(resolve))
  expect(source.destroyed).toBe(false)
  const closed = once(source, 'close')
  reader(readers, 1).destroy()
  await closed
  expect(source.destroyed).toBe(true)
})

test('a source that cannot be read is an error for each, one that has ended already is empty', async () => {
  const readers = tee(createReadStream('/'), 2)
  for (const one of readers) await expect(buffer(one)).rejects.toThrow('EISDIR')
  const ended = Readable.from([])
  ended.destroy()
  expect(await buffer(reader(tee(ended, 1), 0))).toHaveLength(0)
})

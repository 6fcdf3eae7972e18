import {Readable} from 'node:stream'

import {pack} from 'tar-stream'
import {describe, expect, test} from 'vitest'

import {tarMember} from './tar-member.ts'

type Member = readonly [name: string, content: string, type?: 'fifo' | 'symlink']

const archive = async (members: readonly Member[]): Promise<Buffer> => {
  const tar = pack()
  for (const [name, content, type = 'file'] of members) tar.entry({name, type, linkname: '/etc/passwd'}, content)
  tar.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of tar as unknown as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const read = async (bytes: Buffer, wanted: string): Promise<string> => {
  const chunks: Buffer[] = []
  const pieces = Readable.from([bytes.subarray(0, 700), bytes.subarray(700)])
  for await (const chunk of tarMember(pieces, {isWanted: (name) => name === wanted, source: 'x.tar'})) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('one file of an archive, whatever stands around it', async () => {
  const bytes = await archive([
    ['a', 'first'],
    ['./disk/disk.img', 'disk'.repeat(1000)],
    ['b', 'last'],
  ])
  expect(await read(bytes, 'disk/disk.img')).toBe('disk'.repeat(1000))
  expect(await read(bytes, 'b')).toBe('last')
})

test('what follows the file is not read', async () => {
  const bytes = await archive([
    ['a', 'first'],
    ['b', 'x'.repeat(2000)],
  ])
  expect(await read(bytes.subarray(0, 1600), 'a')).toBe('first')
})

describe('refused', () => {
  test.each<{readonly what: string; readonly message: RegExp; readonly members: readonly Member[]; readonly length?: number}>([
    {
      what: 'no such file',
      message: /no disk in its archive, which holds "a", "l"/,
      members: [
        ['a', ''],
        ['l', '', 'symlink'],
      ],
    },
    {what: 'a link of the name', message: /no disk/, members: [['disk.img', '', 'symlink']]},
    {what: 'a pipe', message: /a pipe/, members: [['disk.img', '', 'fifo']]},
    {what: 'a cut one', message: /middle of an entry/, members: [['disk.img', 'x'.repeat(2000)]], length: 1600},
    {what: 'an empty one', message: /holds nothing/, members: []},
  ])('$what', async ({message, members, length}) => {
    const bytes = (await archive(members)).subarray(0, length)
    await expect(read(bytes, 'disk.img')).rejects.toMatchObject({code: 'vmctl::image::refused', message: expect.stringMatching(message)})
  })
})

import {spawnSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {linkSync, mkdirSync, symlinkSync, truncateSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {Readable} from 'node:stream'

import fc from 'fast-check'
import {extract, type Header, pack} from 'tar-stream'
import {describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {readTar, type TarMember} from './tar-reader.ts'
import {TarWriter} from './tar.ts'

type Listing = readonly (Omit<TarMember, 'content'> & {readonly digest: string})[]

const digest = async (content: AsyncIterable<Buffer>): Promise<string> => {
  const hash = createHash('sha256')
  for await (const chunk of content) hash.update(chunk)
  return hash.digest('hex')
}

const cut = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({length: Math.ceil(bytes.length / size)}, (_, index) => bytes.subarray(index * size, (index + 1) * size))

const list = async (bytes: Buffer, pieceBytes = 700): Promise<Listing> => {
  const found: Listing[number][] = []
  for await (const {content, ...member} of readTar(Readable.from(cut(bytes, pieceBytes))))
    found.push({...member, digest: await digest(content)})
  return found
}

/** The second opinion; of itself it does not take the oldest format. */
const listOtherwise = async (bytes: Buffer): Promise<Listing> => {
  const lenient: object = {allowUnknownFormat: true}
  const archive = extract(lenient)
  archive.end(bytes)
  const found: Listing[number][] = []
  for await (const entry of archive) {
    const {name, type, mode, linkname} = entry.header
    const kind = type === 'contiguous-file' ? 'file' : (type as TarMember['type'])
    found.push({
      name,
      type: kind,
      mode: mode & 0o7777,
      target: linkname ?? '',
      digest: await digest(entry as unknown as AsyncIterable<Buffer>),
    })
  }
  return found
}

/** Without what only one of the two keeps: the slash of a directory. */
const comparable = (listing: Listing): Listing => listing.map((member) => ({...member, name: member.name.replace(/\/$/, '')}))

const packed = async (entries: readonly (readonly [Partial<Header> & {readonly name: string}, string?])[]): Promise<Buffer> => {
  const tar = pack()
  for (const [header, content = ''] of entries) tar.entry(header, content)
  tar.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of tar as unknown as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** A tree with names and targets around the lengths at which formats change. */
const makeTree = (longest: number): string => {
  const root = temporaryDirectory()
  mkdirSync(join(root, 'd'.repeat(60), 'e'.repeat(60)), {recursive: true})
  for (const length of [1, 99, 100, 101, 155, 156, 255].filter((one) => one <= longest)) {
    writeFileSync(join(root, 'f'.repeat(length)), `${length}`)
    symlinkSync('t'.repeat(length), join(root, `link${length}`))
  }
  writeFileSync(join(root, 'd'.repeat(60), 'e'.repeat(60), 'g'.repeat(Math.min(longest, 90))), 'deep')
  writeFileSync(join(root, "it's ü"), 'x'.repeat(5000), {mode: 0o741})
  writeFileSync(join(root, 'empty'), '')
  linkSync(join(root, 'empty'), join(root, 'second'))
  return root
}

describe('what programs write is read as another reader does', () => {
  test.each([
    ['tar', '--format=gnu', 255],
    ['tar', '--format=oldgnu', 255],
    ['tar', '--format=pax', 255],
    ['tar', '--format=ustar', 90],
    ['tar', '--format=v7', 20],
    ['busybox', '', 255],
  ])('%s %s', async (program, format, longest) => {
    const words = program === 'busybox' ? ['tar', '-cf', '-'] : [format, '-cf', '-']
    const {stdout, status, stderr} = spawnSync(program, [...words, '-C', makeTree(longest), '.'])
    // The oldest formats have no room for the deepest name, and say so.
    if (longest === 255) expect([status, stderr.toString()]).toEqual([0, ''])
    const listing = await list(stdout)
    expect(comparable(listing)).toEqual(comparable(await listOtherwise(stdout)))
    expect(listing.length).toBeGreaterThan(5)
    for (const size of [1, 511, 513, 1_000_000]) expect(await list(stdout, size), `pieces of ${size}`).toEqual(listing)
  })

  test('our own writer', async () => {
    const writer = new TarWriter()
    const names = ['a', 'n'.repeat(100), 'n'.repeat(101), 'ü'.repeat(120)]
    for (const name of names) {
      writer.entry({name, type: 'symlink', mode: 0o777, size: 0, target: `${name}${name}`})
      writer.entry({name: `${name}.`, type: 'file', mode: 0o640, size: 3})
      writer.write(Buffer.from('abc'))
      writer.pad(3)
    }
    writer.end()
    const bytes = writer.take() ?? Buffer.alloc(0)
    expect(await list(bytes)).toEqual(await listOtherwise(bytes))
    expect((await list(bytes)).map(({name}) => name)).toEqual(names.flatMap((name) => [name, `${name}.`]))
  })
})

/** The archive of one member with something else in its header, whose checksum is right nevertheless. */
const changed = async (
  change: (bytes: Buffer) => unknown,
  entry: Partial<Header> & {readonly name: string} = {name: 'f'},
): Promise<Buffer> => {
  const bytes = await packed([[entry, entry.type === undefined ? 'content' : '']])
  change(bytes)
  seal(bytes)
  return bytes
}

const seal = (header: Buffer): void => {
  header.fill(' ', 148, 156)
  const sum = header.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
}

/** A member of another kind and with another content. */
const kind =
  (flag: string, content: string) =>
  (bytes: Buffer): void => {
    bytes.write(flag, 156)
    bytes.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124)
    bytes.fill(0, 512, 1024).write(content, 512)
  }

describe('refused', () => {
  test.each<readonly [string, RegExp, () => Promise<Buffer> | Buffer]>([
    ['nothing at all', /middle/, () => Buffer.alloc(0)],
    ['no end', /middle/, async () => (await packed([[{name: 'f'}, 'x']])).subarray(0, 1024)],
    ['a cut content', /middle/, async () => (await packed([[{name: 'f'}, 'x'.repeat(600)]])).subarray(0, 1000)],
    ['a wrong checksum', /checksum/, async () => Buffer.concat([Buffer.from('g'), (await packed([[{name: 'f'}]])).subarray(1)])],
    ['a size that is none', /number/, () => changed((bytes) => bytes.write('zz', 124))],
    ['a negative size', /number/, () => changed((bytes) => bytes.fill(0xff, 124, 136))],
    ['a size beyond all files', /number/, () => changed((bytes) => bytes.fill(0xff, 125, 136).fill(0x80, 124, 125))],
    ['a size by pax that is none', /size/, () => packed([[{name: 'f', pax: {size: '1e3'}}, 'x']])],
    [
      'a link with content',
      /no file/,
      () => changed((bytes) => bytes.write('00000000001\0', 124), {name: 'l', type: 'symlink', linkname: 'x'}),
    ],
    ['a sparse file of GNU', /sparse/, () => changed((bytes) => bytes.write('S', 156))],
    ['a sparse file by pax', /sparse/, () => packed([[{name: 'f', pax: {'GNU.sparse.major': '1'}}, 'x']])],
    ['an unknown kind', /unknown kind/, () => changed(kind('Z', ''))],
    ['one name for all', /all that follows/, () => changed(kind('g', '11 path=ab\n'))],
    ['a pax record that is too long', /extended header/, () => changed(kind('x', '99 path=ab\n'))],
    ['a pax record that is too short', /extended header/, () => changed(kind('x', '3 path=ab\n'))],
    ['a pax record without a key', /extended header/, () => changed(kind('x', '6 abc\n'))],
    ['a long name without an end', /too long/, () => changed((bytes) => bytes.write('L', 156) + bytes.write('77777777777\0', 124))],
    ['something after the end', /after its end/, async () => Buffer.concat([await packed([]), Buffer.from('x')])],
    ['zeros without an end', /after its end/, async () => Buffer.concat([await packed([]), Buffer.alloc(2 ** 21)])],
  ])('%s', async (_what, message, bytes) => {
    await expect(list(await bytes())).rejects.toThrow(message)
  })
})

test('what is not taken of a content is passed over', async () => {
  const bytes = await packed(['a', 'b', 'c'].map((name) => [{name}, name.repeat(2000)]))
  const seen: string[] = []
  for await (const {name, content} of readTar(Readable.from(cut(bytes, 300)))) {
    seen.push(name)
    if (name === 'b') for await (const _some of content) break
  }
  expect(seen).toEqual(['a', 'b', 'c'])
})

test('sizes beyond eleven octal digits are read in both ways', async () => {
  const root = temporaryDirectory()
  const path = join(root, 'large')
  writeFileSync(path, '')
  truncateSync(path, 9 * 2 ** 30)
  for (const format of ['gnu', 'pax']) {
    // Only the beginning: the content would be zeros.
    const {stdout} = spawnSync('sh', ['-c', `tar --format=${format} -cf - -C "$0" large | head -c 1048576`, root])
    const reading = readTar(Readable.from([stdout]))
    const {value} = await reading.next()
    let bytes = 0
    const rest = async (): Promise<void> => {
      for await (const chunk of (value as TarMember).content) bytes += chunk.length
    }
    await expect(rest(), format).rejects.toThrow(/middle/)
    expect(bytes).toBeGreaterThan(1_000_000)
  }
})

test('of a damaged archive, whatever is read is what the other reader reads', {timeout: 60_000}, async () => {
  const whole = await packed([
    [{name: 'd', type: 'directory'}],
    [{name: 'd/f'}, 'content'.repeat(100)],
    [{name: 'l', type: 'symlink', linkname: '../precious'}],
    [{name: 'g', pax: {path: 'd/g', comment: 'c'}}, 'x'],
    [{name: 'h', type: 'link', linkname: 'd/f'}],
  ])
  const flip = fc.record({at: fc.nat(whole.length - 1), to: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('01234567\0 Lxg')))})
  let agreed = 0
  await fc.assert(
    fc.asyncProperty(fc.array(flip, {minLength: 1, maxLength: 3}), async (flips) => {
      const bytes = Buffer.from(whole)
      for (const {at, to} of flips) bytes[at] = to
      for (let at = 0; at + 512 <= bytes.length; at += 512)
        if (bytes.toString('latin1', at + 257, at + 262) === 'ustar') seal(bytes.subarray(at, at + 512))
      const mine = await list(bytes).catch(() => undefined)
      if (!mine) return
      agreed += 1
      expect(comparable(mine)).toEqual(comparable(await listOtherwise(bytes)))
    }),
    {numRuns: 2000, seed: 1},
  )
  expect(agreed).toBeGreaterThan(500)
})

import {spawnSync} from 'node:child_process'
import {lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {Readable} from 'node:stream'

import fc from 'fast-check'
import {expect, test} from 'vitest'

import {type Header, pack} from 'tar-stream'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {extractTar} from './extract.ts'
import {describeTree} from './tree.ts'

type Entry = readonly [header: Partial<Header> & {readonly name: string}, content?: string]

const archive = async (entries: readonly Entry[]): Promise<Buffer> => {
  const tar = pack()
  for (const [header, content = ''] of entries) tar.entry(header, content)
  tar.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of tar as unknown as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** A directory with something precious beside the one into which is unpacked. */
const arena = () => {
  const root = temporaryDirectory()
  mkdirSync(join(root, 'in'))
  mkdirSync(join(root, 'precious'))
  writeFileSync(join(root, 'precious/file'), 'precious', {mode: 0o600})
  const untouched = (): void => {
    expect(readdirSync(root).toSorted()).toEqual(['in', 'precious'])
    expect(readdirSync(join(root, 'precious'))).toEqual(['file'])
    expect(readFileSync(join(root, 'precious/file'), 'utf8')).toBe('precious')
    expect(lstatSync(join(root, 'precious/file')).mode & 0o7777).toBe(0o600)
    expect(lstatSync(join(root, 'precious/file')).nlink).toBe(1)
  }
  return {root, into: join(root, 'in'), untouched}
}

const directory = (name: string): Entry => [{name, type: 'directory'}]
const link = (name: string, linkname: string): Entry => [{name, type: 'symlink', linkname}]
const hard = (name: string, linkname: string): Entry => [{name, type: 'link', linkname}]

const hostile: readonly (readonly [string, readonly Entry[]])[] = [
  ['an upward name', [[{name: '../evil'}, 'x']]],
  ['an upward name after ./', [[{name: './../evil'}, 'x']]],
  ['an upward name in the middle', [directory('a'), [{name: 'a/../../evil'}, 'x']]],
  ['an upward name that stays inside', [directory('a'), [{name: 'a/../b'}, 'x']]],
  ['an upward name at the end', [directory('a/..')]],
  ['only ..', [directory('..')]],
  ['../ as a directory', [directory('../')]],
  ['an upward name over a precious file', [[{name: '../precious/file'}, 'x']]],
  ['an upward directory that changes a mode', [[{name: '../precious', type: 'directory', mode: 0o777}]]],
  ['an absolute name', [[{name: '/tmp/vmctl-evil'}, 'x']]],
  ['an absolute name with two slashes', [[{name: '//tmp/vmctl-evil'}, 'x']]],
  ['an absolute name behind ./', [[{name: './/tmp/vmctl-evil'}, 'x']]],
  ['an absolute directory', [directory('/tmp/vmctl-evil')]],
  ['an absolute link', [link('/tmp/vmctl-evil', 'x')]],
  ['a file through a link upwards', [link('l', '../precious'), [{name: 'l/file'}, 'x']]],
  ['a new file through a link upwards', [link('l', '..'), [{name: 'l/evil'}, 'x']]],
  ['a file through an absolute link', [link('l', '/tmp'), [{name: 'l/vmctl-evil'}, 'x']]],
  ['a directory through a link', [link('l', '../precious'), directory('l/evil')]],
  ['a link through a link', [link('l', '..'), link('l/evil', 'x')]],
  ['a file through a chain of links', [link('a', '..'), link('b', 'a'), [{name: 'b/evil'}, 'x']]],
  ['a file in the place of a link', [link('l', '../precious/file'), [{name: 'l'}, 'x']]],
  ['a directory in the place of a link', [link('l', '../precious'), [{name: 'l', type: 'directory', mode: 0o777}]]],
  ['a link in the place of a directory, then a file in it', [directory('d'), link('d', '../precious'), [{name: 'd/file'}, 'x']]],
  ['a hard link upwards', [hard('h', '../precious/file')]],
  ['a hard link upwards, then content', [hard('h', '../precious/file'), [{name: 'h'}, 'x']]],
  ['an absolute hard link', [hard('h', '/etc/passwd')]],
  ['a hard link to a link', [link('l', '../precious/file'), hard('h', 'l')]],
  ['a hard link through a link', [link('l', '../precious'), hard('h', 'l/file')]],
  ['a hard link to itself', [hard('h', 'h')]],
  ['a hard link to what comes later', [hard('h', 'f'), [{name: 'f'}, 'x']]],
  [
    'a file twice',
    [
      [{name: 'f'}, 'a'],
      [{name: 'f'}, 'b'],
    ],
  ],
  [
    'a file twice, spelled in two ways',
    [
      [{name: 'f'}, 'a'],
      [{name: './f'}, 'b'],
    ],
  ],
  ['a directory twice', [directory('d'), directory('d/')]],
  [
    'a file below a file',
    [
      [{name: 'f'}, 'a'],
      [{name: 'f/g'}, 'b'],
    ],
  ],
  ['a file below nothing', [[{name: 'no/such/f'}, 'x']]],
  ['a character device', [[{name: 'd', type: 'character-device', devmajor: 1, devminor: 3}]]],
  ['a block device', [[{name: 'd', type: 'block-device', devmajor: 8, devminor: 0}]]],
  ['a pipe', [[{name: 'p', type: 'fifo'}]]],
  ['an empty part', [directory('a'), [{name: 'a//b'}, 'x']]],
  ['a dot in the middle', [directory('a'), [{name: 'a/./b'}, 'x']]],
  ['a name that is too long', [[{name: 'x'.repeat(300)}, 'x']]],
  ['a link without a target', [link('l', '')]],
  ['an upward name by pax', [[{name: 'f', pax: {path: '../evil'}}, 'x']]],
  ['an absolute link by pax', [[{name: 'h', type: 'link', linkname: 'x', pax: {linkpath: '/etc/passwd'}}]]],
]

test.each(hostile)('refused: %s', async (_what, entries) => {
  const {into, untouched} = arena()
  await expect(extractTar(Readable.from([await archive(entries)]), into)).rejects.toMatchObject({code: 'vmctl::guest::archive_refused'})
  untouched()
})

test('there are at least 30 of them', () => {
  expect(hostile.length).toBeGreaterThanOrEqual(30)
})

test('too many entries, and too many bytes', async () => {
  const {into, untouched} = arena()
  const entries = Array.from({length: 20}, (_, index): Entry => [{name: `f${index}`}, 'x'.repeat(100)])
  const sample = await archive(entries)
  await expect(extractTar(Readable.from([sample]), into, {maxEntries: 10})).rejects.toMatchObject({
    message: expect.stringContaining('more than 10 entries'),
  })
  rmSync(into, {recursive: true})
  mkdirSync(into)
  await expect(extractTar(Readable.from([sample]), into, {maxBytes: 1000})).rejects.toMatchObject({
    message: expect.stringContaining('larger than 1000 bytes'),
  })
  untouched()
})

test('modes come over, set-ID bits do not; hard links become files', async () => {
  const {into} = arena()
  const entries: readonly Entry[] = [
    [{name: './', type: 'directory'}],
    [{name: './d/', type: 'directory', mode: 0o500}],
    [{name: './d/f', mode: 0o4755}, 'content'],
    hard('./h', './d/f'),
    link('./l', '/no/such'),
  ]
  await extractTar(Readable.from([await archive(entries)]), into)
  expect(lstatSync(join(into, 'd')).mode & 0o7777).toBe(0o500)
  expect(lstatSync(join(into, 'd/f')).mode & 0o7777).toBe(0o755)
  expect([readFileSync(join(into, 'h'), 'utf8'), lstatSync(join(into, 'h')).nlink]).toEqual(['content', 1])
  expect(readlinkSync(join(into, 'l'))).toBe('/no/such')
})

test('what the tar program wrote comes out as it was', async () => {
  const {into, root} = arena()
  const source = mkdtempSync(join(root, '../vmctl-source-'))
  mkdirSync(join(source, 'a b/ü\n'), {recursive: true})
  for (const name of ['-f', "it's", 'a b/\\', `a b/ü\n/${'long'.repeat(60)}`]) writeFileSync(join(source, name), name)
  const {stdout} = spawnSync('tar', ['-cf', '-', '-C', source, '.'])
  await extractTar(Readable.from([stdout]), into)
  expect(await describeTree(into)).toEqual(await describeTree(source))
  rmSync(source, {recursive: true})
})

test('every truncation and any flipped bytes: an error or a tree below the directory, never more', {timeout: 240_000}, async () => {
  const whole = await archive([
    directory('d'),
    [{name: 'd/f'}, 'content'.repeat(100)],
    link('l', '../precious'),
    [{name: 'g', pax: {path: 'd/g'}}, 'x'],
  ])
  const {root, into, untouched} = arena()
  const attempt = async (bytes: Buffer): Promise<void> => {
    rmSync(into, {recursive: true, force: true})
    mkdirSync(into)
    await extractTar(Readable.from([bytes]), into, {maxBytes: 1e6}).catch((error: unknown) => {
      expect(error).toMatchObject({code: 'vmctl::guest::archive_refused'})
    })
  }
  for (let length = 0; length < whole.length; length += 97) await attempt(whole.subarray(0, length))
  const flip = fc.record({at: fc.nat(whole.length - 1), to: fc.nat(255)})
  await fc.assert(
    fc.asyncProperty(fc.array(flip, {minLength: 1, maxLength: 4}), async (flips) => {
      const bytes = Buffer.from(whole)
      for (const {at, to} of flips) bytes[at] = to
      // The checksums are right again, so that the reader gets to see the rest.
      for (let at = 0; at + 512 <= bytes.length; at += 512)
        if (bytes.toString('latin1', at + 257, at + 262) === 'ustar') seal(bytes.subarray(at, at + 512))
      await attempt(bytes)
    }),
    {numRuns: 500},
  )
  untouched()
  expect(readdirSync(root)).toHaveLength(2)
})

const seal = (header: Buffer): void => {
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
}

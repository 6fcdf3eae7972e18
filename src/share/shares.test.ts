import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'

import {expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {testUnless} from '../../test/support/programs.ts'
import {isVmctlError} from '../model/errors.ts'
import type {Share} from '../model/storage.ts'
import {attachShares, shareTag} from './shares.ts'

const makeShare = (source: string, change: Partial<Share> = {}): Share => ({
  source,
  isFile: false,
  target: '/srv/www',
  readOnly: false,
  automount: true,
  driver: 'auto',
  options: [],
  ...change,
})

const refusal = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (isVmctlError(error) ? `${error.code} ${error.message}` : String(error)),
  )

test('tags fit, depend on the target only, and may be given', () => {
  const targets = ['/', '/srv', `/${'long'.repeat(100)}`, '/srv/ü,"']
  const tags = targets.map((target) => shareTag({target}))
  expect(new Set(tags).size).toBe(targets.length)
  for (const tag of tags) expect(tag).toMatch(/^[a-z0-9-]{1,31}$/)
  expect(shareTag({target: '/srv', tag: 'mine'})).toBe('mine')
  // Written in fstabs of guests that exist.
  expect(shareTag({target: '/srv/www'})).toBe('share-8260f8d2cd408296')
})

test('a directory is shared as it is', async () => {
  const directory = temporaryDirectory()
  const source = join(directory, 'with, "all" of ü')
  mkdirSync(source)
  const folders = await attachShares(directory, [makeShare(source, {readOnly: true})])
  expect(folders).toEqual([{path: source, tag: shareTag({target: '/srv/www'}), readOnly: true, driver: 'auto'}])
  expect(readdirSync(directory)).toEqual(['with, "all" of ü'])
})

test('options that only 9p has decide for 9p', async () => {
  const source = temporaryDirectory()
  const driverOf = async (change: Partial<Share>) => (await attachShares(source, [makeShare(source, change)]))[0]?.driver
  expect(await driverOf({options: ['cache=loose']})).toBe('9p')
  expect(await driverOf({options: ['msize=104857600', 'noexec']})).toBe('9p')
  expect(await driverOf({options: ['noexec', 'nodev']})).toBe('auto')
  expect(await driverOf({driver: 'virtiofs', options: ['cache=loose']})).toBe('virtiofs')
})

test('of a file, its neighbours stay where they are: a second name for it is all that is shared', async () => {
  const vm = temporaryDirectory()
  const source = temporaryDirectory()
  writeFileSync(join(source, 'nginx.conf'), 'first')
  writeFileSync(join(source, 'secret'), 'secret')
  const share = makeShare(join(source, 'nginx.conf'), {isFile: true})
  const [folder] = await attachShares(vm, [share])
  const shared = folder?.path ?? ''
  expect(shared.startsWith(`${vm}/shares/`)).toBe(true)
  expect(readdirSync(shared)).toEqual(['file'])
  writeFileSync(join(shared, 'file'), 'from the guest')
  expect(readFileSync(share.source, 'utf8')).toBe('from the guest')
})

test('a file that an editor has replaced is put in place by the next start; one that is there stays', async () => {
  const vm = temporaryDirectory()
  const source = join(temporaryDirectory(), 'conf')
  writeFileSync(source, 'first')
  const share = makeShare(source, {isFile: true})
  const [folder] = await attachShares(vm, [share])
  const place = join(folder?.path ?? '', 'file')
  const {ino, ctimeMs} = statSync(place)
  await attachShares(vm, [share])
  expect([statSync(place).ino, statSync(place).ctimeMs]).toEqual([ino, ctimeMs])
  writeFileSync(`${source}.new`, 'second')
  renameSync(`${source}.new`, source)
  await attachShares(vm, [share])
  expect(readFileSync(place, 'utf8')).toBe('second')
  expect(readdirSync(folder?.path ?? '')).toEqual(['file'])
})

test('a symbolic link is shared as what it leads to', async () => {
  const vm = temporaryDirectory()
  const source = temporaryDirectory()
  writeFileSync(join(source, 'real'), 'content')
  symlinkSync('real', join(source, 'link'))
  const [folder] = await attachShares(vm, [makeShare(join(source, 'link'), {isFile: true})])
  expect(statSync(join(folder?.path ?? '', 'file')).ino).toBe(statSync(join(source, 'real')).ino)
})

/** A directory on another file system than that of temporary files. */
const elsewhere = existsSync('/dev/shm') && statSync('/dev/shm').dev !== statSync(tmpdir()).dev ? '/dev/shm' : undefined

testUnless(elsewhere === undefined ? 'there is no second file system' : undefined)(
  'a file of another file system is copied at each start when it is read-only, and refused when it is not',
  async () => {
    const vm = temporaryDirectory()
    const source = join(mkdtempSync(`${elsewhere}/vmctl-share-`), 'conf')
    onTestFinished(() => rmSync(dirname(source), {recursive: true}))
    writeFileSync(source, 'first', {mode: 0o640})
    const share = makeShare(source, {isFile: true, readOnly: true})
    const [folder] = await attachShares(vm, [share])
    const place = join(folder?.path ?? '', 'file')
    expect([readFileSync(place, 'utf8'), statSync(place).mode & 0o777]).toEqual(['first', 0o640])
    writeFileSync(source, 'second')
    await attachShares(vm, [share])
    expect(readFileSync(place, 'utf8')).toBe('second')
    expect(await refusal(attachShares(vm, [{...share, readOnly: false}]))).toContain(
      `vmctl::share::source_unusable The file ${source} cannot be shared for writing: it is on another file system`,
    )
    expect(readFileSync(place, 'utf8')).toBe('second')
  },
)

test('a source that is not what it was is refused before anything is made', async () => {
  const vm = temporaryDirectory()
  const source = temporaryDirectory()
  writeFileSync(join(source, 'file'), '')
  linkSync(join(source, 'file'), join(source, 'other'))
  expect(await refusal(attachShares(vm, [makeShare(join(source, 'gone'))]))).toBe(
    `vmctl::share::source_unusable The share for /srv/www cannot be made: ${source}/gone does not exist.`,
  )
  expect(await refusal(attachShares(vm, [makeShare(join(source, 'file'), {isFile: true}), makeShare(join(source, 'file'))]))).toContain(
    'is not a directory any more',
  )
  expect(await refusal(attachShares(vm, [makeShare(source, {isFile: true})]))).toContain('is not a regular file any more')
  expect(readdirSync(vm)).toEqual([])
})

test('what stood for a file that is no longer shared goes', async () => {
  const vm = temporaryDirectory()
  const source = join(temporaryDirectory(), 'conf')
  writeFileSync(source, 'content')
  const [one, two] = [makeShare(source, {isFile: true, target: '/a'}), makeShare(source, {isFile: true, target: '/b'})]
  await attachShares(vm, [one, two])
  await attachShares(vm, [two])
  expect(readdirSync(join(vm, 'shares'))).toEqual([shareTag(two)])
  expect(readFileSync(source, 'utf8')).toBe('content')
})

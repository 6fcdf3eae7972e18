import {chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {basename, dirname, join, resolve} from 'node:path'

import {expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {ioError, makeDirectory, makePrivateDirectory, readIfExists, temporaryPath, writeFileAtomic} from './files.ts'

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8)

const withUmask = (mask: number): void => {
  const old = process.umask(mask)
  onTestFinished(() => void process.umask(old))
}

test.each([0o000, 0o022, 0o077, 0o177])('files are 0600 and directories 0700 under the umask %i', async (mask) => {
  const directory = temporaryDirectory()
  withUmask(mask)
  await makePrivateDirectory(join(directory, 'a/b'))
  chmodSync(join(directory, 'a'), 0o700)
  chmodSync(join(directory, 'a/b'), 0o700)
  await writeFileAtomic(join(directory, 'a/b/file'), 'x')
  await writeFileAtomic(join(directory, 'a/b/public'), 'x', 0o644)
  expect(modeOf(join(directory, 'a/b/file'))).toBe('600')
  expect(modeOf(join(directory, 'a/b/public'))).toBe('644')
})

test('a new private directory is closed to others when the umask is open', async () => {
  const directory = temporaryDirectory()
  withUmask(0)
  await makePrivateDirectory(join(directory, 'a/b'))
  expect([modeOf(join(directory, 'a')), modeOf(join(directory, 'a/b'))]).toEqual(['700', '700'])
  // One that exists is somebody's decision.
  chmodSync(join(directory, 'a'), 0o750)
  await makePrivateDirectory(join(directory, 'a'))
  expect(modeOf(join(directory, 'a'))).toBe('750')
})

test('a file is replaced as a whole, and nothing else is left', async () => {
  const directory = temporaryDirectory()
  const path = join(directory, 'file')
  const contents = ['old', '', 'ä'.repeat(100_000), Buffer.from([0, 255, 10])]
  for (const content of contents) {
    await writeFileAtomic(path, content)
    expect(readFileSync(path).equals(Buffer.from(content))).toBe(true)
  }
  expect(readdirSync(directory)).toEqual(['file'])
})

test('a reader that keeps the old file open goes on with it; a link is replaced, not followed', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'target'), 'target')
  symlinkSync(join(directory, 'target'), join(directory, 'link'))
  await writeFileAtomic(join(directory, 'link'), 'new')
  expect(readFileSync(join(directory, 'target'), 'utf8')).toBe('target')
  expect(readFileSync(join(directory, 'link'), 'utf8')).toBe('new')
})

test('many writers at once leave one of their contents', async () => {
  const directory = temporaryDirectory()
  const path = join(directory, 'file')
  const contents = Array.from({length: 30}, (_, index) => `${index}`.repeat(10_000))
  await Promise.all(contents.map((content) => writeFileAtomic(path, content)))
  expect(contents).toContain(readFileSync(path, 'utf8'))
  expect(readdirSync(directory)).toEqual(['file'])
})

test('a failed write names the file and leaves nothing', async () => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'taken/child'), {recursive: true})
  await expect(writeFileAtomic(join(directory, 'taken'), 'x')).rejects.toMatchObject({
    code: 'vmctl::io',
    message: expect.stringContaining(join(directory, 'taken')),
  })
  await expect(writeFileAtomic(join(directory, 'missing/file'), 'x')).rejects.toMatchObject({code: 'vmctl::io'})
  await expect(makePrivateDirectory(join(directory, 'taken/child/\0'))).rejects.toMatchObject({code: 'vmctl::io'})
  expect(readdirSync(directory)).toEqual(['taken'])
})

test('a directory is made with its parents, by several at once, and what stands in its way is an error', async () => {
  const directory = temporaryDirectory()
  const path = join(directory, 'a/b/c')
  await Promise.all([makeDirectory(path, 0o700), makeDirectory(path, 0o700), makeDirectory(join(directory, 'a/b/d'), 0o700)])
  await makeDirectory(`${path}/`)
  expect(statSync(path).mode & 0o777).toBe(0o700)
  symlinkSync('c', join(directory, 'a/b/link'))
  await makeDirectory(join(directory, 'a/b/link'))
  writeFileSync(join(directory, 'file'), '')
  symlinkSync('nowhere', join(directory, 'dangling'))
  // procfs answers ENOENT in a directory that exists.
  for (const blocked of ['file', 'file/below', 'dangling', '/proc/nope', '/proc/nope/below', '/proc/self/nope']) {
    const error = {code: 'vmctl::io', message: expect.stringContaining(resolve(directory, blocked))}
    await expect(makeDirectory(resolve(directory, blocked))).rejects.toMatchObject(error)
  }
  expect(readdirSync(directory).toSorted()).toEqual(['a', 'dangling', 'file'])
})

test('what does not exist reads as undefined, what cannot be read is an error', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'file'), 'x')
  await expect(readIfExists(join(directory, 'file'))).resolves.toBe('x')
  await expect(readIfExists(join(directory, 'none'))).resolves.toBeUndefined()
  await expect(readIfExists(join(directory, 'file/below'))).resolves.toBeUndefined()
  await expect(readIfExists(directory)).rejects.toMatchObject({code: 'vmctl::io'})
})

test('temporary names lie beside the file, are hidden and differ', () => {
  const names = Array.from({length: 50}, () => temporaryPath('/a/b/vm.json'))
  expect(new Set(names).size).toBe(50)
  for (const name of names) {
    expect(dirname(name)).toBe('/a/b')
    expect(basename(name)).toMatch(/^\.vm\.json\..*\.tmp$/)
  }
})

test('a full disk is told as such', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {code: 'ENOSPC'})
  expect(ioError('write', '/a', full)).toMatchObject({
    message: 'Cannot write /a: no space left on device.',
    help: expect.stringContaining('Free some disk space'),
  })
})

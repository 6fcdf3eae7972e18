import {execFileSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {createServer} from 'node:net'
import {join} from 'node:path'

import {afterAll, beforeAll, expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {type CuttableSession, makeContext, openSshGuest} from '../../../test/support/guests.ts'
import {describeUnless, needsRoot, testUnless} from '../../../test/support/programs.ts'
import {sshdMissing, startSshd, type TestSshd} from '../../../test/support/sshd.ts'
import {fileProvisioner} from '../steps/file.ts'
import {uploadTree, type TreeResult} from './tree-upload.ts'
import {describeTree, listTree} from './tree.ts'
import type {FileSettings} from '../../model/steps.ts'

type Given = Pick<FileSettings, 'destination' | 'source'> & Partial<FileSettings>

const settingsOf = (given: Given): FileSettings => ({privileged: false, ...given})

const missing = sshdMissing()

const oddNames = [
  '-n',
  '--help',
  'two  blanks',
  "it's",
  '"quoted"',
  '$HOME',
  '`id`',
  '*',
  'line\nfeed',
  'ümläut→日本',
  '.hidden',
  '#x',
  '\\back',
  `${'long-'.repeat(30)}name`,
]

/** A tree with everything that may be in one. */
const makeTree = (): string => {
  const root = join(temporaryDirectory(), 'source')
  mkdirSync(join(root, 'empty'), {recursive: true})
  mkdirSync(join(root, 'sub/deep'), {recursive: true})
  writeFileSync(join(root, 'plain'), 'plain\n')
  writeFileSync(join(root, 'nothing'), '')
  writeFileSync(join(root, 'sub/deep/binary'), Buffer.from(Array.from({length: 300_000}, (_, index) => index % 251)))
  writeFileSync(join(root, 'program'), '#!/bin/sh\n')
  chmodSync(join(root, 'program'), 0o755)
  writeFileSync(join(root, 'secret'), 'x')
  chmodSync(join(root, 'secret'), 0o400)
  chmodSync(join(root, 'sub'), 0o750)
  symlinkSync('plain', join(root, 'link'))
  symlinkSync('/no/such/target', join(root, 'dangling'))
  symlinkSync('../sub', join(root, 'sub/to-directory'))
  mkdirSync(join(root, 'odd'))
  for (const name of oddNames) writeFileSync(join(root, 'odd', name), name)
  return root
}

const facts = async (directory: string): Promise<string[]> => (await describeTree(directory)).map((fact) => fact)

test('the list is sorted and tells types, modes and targets', async () => {
  const entries = await listTree(makeTree())
  const names = entries.map(({name}) => name)
  expect(names).toEqual(names.toSorted())
  const byName = new Map(entries.map((entry) => [entry.name, entry]))
  expect(byName.get('program')).toEqual({name: 'program', type: 'file', mode: 0o755, size: 10})
  expect(byName.get('sub')).toEqual({name: 'sub', type: 'directory', mode: 0o750, size: 0})
  expect(byName.get('sub/to-directory')).toMatchObject({type: 'symlink', target: '../sub'})
  expect(names).toEqual(expect.arrayContaining(oddNames.map((name) => `odd/${name}`)))
  // A link to a directory is a link; what is behind it is not listed twice.
  expect(names.filter((name) => name.endsWith('binary'))).toHaveLength(1)
})

test('sockets, pipes and devices are left out and named; the rest is there', async () => {
  const root = makeTree()
  const before = await listTree(root)
  const server = createServer().listen(join(root, 'sub/sock'))
  onTestFinished(() => void server.close())
  while (!existsSync(join(root, 'sub/sock'))) await new Promise((resolve) => setTimeout(resolve, 5))
  execFileSync('mkfifo', [join(root, 'pipe')])
  const told: string[] = []
  expect(await listTree(root, undefined, (words) => void told.push(words))).toEqual(before)
  expect(told).toEqual(['pipe is a pipe', 'sub/sock is a socket'])
  expect((await describeTree(root)).length).toBe(before.length)
})

test.each([
  ['content', (root: string) => writeFileSync(join(root, 'plain'), 'other')],
  ['a mode', (root: string) => chmodSync(join(root, 'plain'), 0o600)],
  ['a mode of a directory', (root: string) => chmodSync(join(root, 'empty'), 0o700)],
  ['a new file', (root: string) => writeFileSync(join(root, 'empty/new'), '')],
  ['a target', (root: string) => symlinkSync('nothing', join(root, 'link2'))],
])('the description changes with %s', async (_, change) => {
  const root = makeTree()
  const before = await facts(root)
  expect(await facts(root)).toEqual(before)
  change(root)
  expect(await facts(root)).not.toEqual(before)
})

describeUnless(missing)('over a real sshd', () => {
  let sshd: TestSshd
  let session: CuttableSession
  beforeAll(async () => {
    sshd = await startSshd()
    session = openSshGuest(sshd)
  })
  afterAll(async () => {
    session[Symbol.dispose]()
    await sshd[Symbol.asyncDispose]()
  })
  const put = async (source: string, destination: string, options: Parameters<typeof uploadTree>[2] = {}): Promise<TreeResult> =>
    uploadTree(await session.guest(), {source, destination}, options)

  test('everything arrives as it is: contents, modes, links, odd names, empty directories', async () => {
    const source = makeTree()
    const destination = join(temporaryDirectory(), 'new/dir')
    await put(source, destination)
    expect(await facts(destination)).toEqual(await facts(source))
    expect(readlinkSync(join(destination, 'dangling'))).toBe('/no/such/target')
    expect(lstatSync(join(destination, 'sub/to-directory')).isSymbolicLink()).toBe(true)
  })

  test('old files are replaced, others stay, and nothing temporary is left', async () => {
    const source = makeTree()
    const destination = temporaryDirectory()
    writeFileSync(join(destination, 'plain'), 'old', {mode: 0o600})
    writeFileSync(join(destination, 'mine'), 'mine')
    mkdirSync(join(destination, 'sub'))
    writeFileSync(join(destination, 'sub/mine'), 'mine')
    symlinkSync('/etc/hostname', join(destination, 'secret'))
    await put(source, `${destination}///`)
    expect(readFileSync(join(destination, 'plain'), 'utf8')).toBe('plain\n')
    expect(statSync(join(destination, 'plain')).mode & 0o777).toBe(statSync(join(source, 'plain')).mode & 0o777)
    expect([readFileSync(join(destination, 'mine'), 'utf8'), readFileSync(join(destination, 'sub/mine'), 'utf8')]).toEqual(['mine', 'mine'])
    expect(lstatSync(join(destination, 'secret')).isFile()).toBe(true)
    expect(readdirSync(destination).filter((name) => name.startsWith('.vmctl'))).toEqual([])
    const before = await facts(destination)
    await put(source, destination)
    expect(await facts(destination)).toEqual(before)
  })

  test('a file is not moved into a directory that has its name', async () => {
    const source = makeTree()
    const destination = temporaryDirectory()
    mkdirSync(join(destination, 'plain'))
    writeFileSync(join(destination, 'plain/inner'), '')
    await expect(put(source, destination)).rejects.toMatchObject({
      code: 'vmctl::provision::failed',
      message: '"plain" is a directory in the guest, and a file here.',
    })
    expect(readdirSync(join(destination, 'plain'))).toEqual(['inner'])
    expect(readdirSync(destination).filter((name) => name.startsWith('.vmctl'))).toEqual([])
  })

  test('a destination that is a file, or that cannot be made, is an error that says so', async () => {
    const source = makeTree()
    // More than all buffers on the way hold, so that the sender is in the middle of it.
    writeFileSync(join(source, 'big'), randomBytes(8_000_000))
    const file = join(temporaryDirectory(), 'file')
    writeFileSync(file, 'x')
    await expect(put(source, file)).rejects.toMatchObject({message: expect.stringContaining(`${file} exists and is not a directory`)})
    await expect(put(source, `${file}/below`)).rejects.toMatchObject({code: 'vmctl::guest::copy_failed'})
    await expect(put(source, '/proc/vmctl-test')).rejects.toMatchObject({code: 'vmctl::guest::copy_failed'})
    expect(readFileSync(file, 'utf8')).toBe('x')
  })

  testUnless(needsRoot())('an owner is set on what was brought, and on nothing else', async () => {
    const source = makeTree()
    const destination = temporaryDirectory()
    writeFileSync(join(destination, 'mine'), '')
    await put(source, destination, {owner: 'nobody:nogroup', privileged: true})
    const owner = (name: string): number => lstatSync(join(destination, name)).uid
    expect(['plain', 'sub', 'sub/deep', 'sub/deep/binary', 'link', 'empty'].map(owner)).toEqual(Array.from({length: 6}, () => 65_534))
    expect(owner('mine')).toBe(0)
    await expect(put(source, destination, {owner: 'no-such-user'})).rejects.toMatchObject({code: 'vmctl::guest::copy_failed'})
  })

  test('an abort ends the upload', async () => {
    await expect(put(makeTree(), join(temporaryDirectory(), 'x'), {signal: AbortSignal.abort(new Error('enough'))})).rejects.toThrow(
      'enough',
    )
  })

  test('a file step and a directory step', async () => {
    const source = makeTree()
    const destination = temporaryDirectory()
    const run = async (given: Given): Promise<string> => {
      const context = makeContext(session.guest)
      await fileProvisioner.run(settingsOf(given), context)
      return context.printed.stdout.toString()
    }
    const file = join(source, 'program')
    expect(await run({source: file, destination: join(destination, 'copy')})).toBe(`uploaded ${file} to ${destination}/copy\n`)
    expect(statSync(join(destination, 'copy')).mode & 0o777).toBe(0o755)
    await run({source: file, destination: join(destination, 'copy'), mode: 0o640})
    expect(statSync(join(destination, 'copy')).mode & 0o777).toBe(0o640)
    await run({source, destination: join(destination, 'tree')})
    expect(await facts(join(destination, 'tree'))).toEqual(await facts(source))
    await expect(run({source: '/no/such/file', destination: '/tmp/x'})).rejects.toMatchObject({
      code: 'vmctl::io',
      message: expect.stringContaining('/no/such/file'),
    })
  })
})

test('the facts of a directory tell its files apart, and of a large one its directories', async () => {
  const source = temporaryDirectory()
  mkdirSync(join(source, 'a/b'), {recursive: true})
  writeFileSync(join(source, 'a/b/one'), '1')
  const factsOf = () => fileProvisioner.facts(settingsOf({source, destination: '/a'}), {env: {}})
  const differing = async (before: Readonly<Record<string, unknown>>): Promise<string[]> =>
    Object.entries(await factsOf()).flatMap(([name, fact]) => (JSON.stringify(fact) === JSON.stringify(before[name]) ? [] : [name]))
  const small = await factsOf()
  expect(Object.keys(small).filter((name) => name.startsWith('/'))).toEqual(['', '/a', '/a/b', '/a/b/one'].map((name) => source + name))
  writeFileSync(join(source, 'a/b/one'), '2')
  expect(await differing(small)).toEqual([join(source, 'a/b/one')])
  for (let index = 0; index < 1000; index++) writeFileSync(join(source, 'a/b', String(index)), '')
  mkdirSync(join(source, 'c'))
  const large = await factsOf()
  expect(Object.keys(large).filter((name) => name.startsWith('/'))).toEqual(['', '/a', '/a/b', '/c'].map((name) => source + name))
  writeFileSync(join(source, 'a/b/999'), 'x')
  expect(await differing(large)).toEqual([join(source, 'a/b')])
  for (let index = 0; index < 1001; index++) writeFileSync(join(source, String(index)), '')
  const flat = await factsOf()
  expect(Object.keys(flat).filter((name) => name.startsWith('/'))).toEqual([source])
  writeFileSync(join(source, '7'), 'x')
  expect(await differing(flat)).toEqual([source])
})

test('the facts of a file step are everything that it carries, and one that changes is told by its path', async () => {
  const source = makeTree()
  const print = async (given: Given) => JSON.stringify(await fileProvisioner.facts(settingsOf(given), {env: {}}))
  const file = join(source, 'plain')
  const variants = [
    {source: file, destination: '/a'},
    {source: file, destination: '/b'},
    {source: file, destination: '/a', mode: 0o600},
    {source: file, destination: '/a', owner: 'root'},
    {source: file, destination: '/a', privileged: true},
    {source, destination: '/a'},
  ]
  const prints = await Promise.all(variants.map(print))
  expect(new Set(prints).size).toBe(variants.length)
  writeFileSync(file, 'changed')
  const after = await Promise.all(variants.map(print))
  expect(after.filter((value, index) => value === prints[index])).toEqual([])
  expect(fileProvisioner.describe(settingsOf({source: '/a/b.conf', destination: '/etc/b.conf'}))).toBe('file: b.conf → /etc/b.conf')
})

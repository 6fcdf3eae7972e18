import {execFileSync, spawnSync} from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
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
import {join} from 'node:path'

import fc from 'fast-check'
import {afterAll, describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {localGuest} from '../../../test/support/guests.ts'
import {missingProgram, testUnless, needsRoot} from '../../../test/support/programs.ts'
import {quote} from '../../model/quote.ts'
import {ignorePatterns} from './ignore.ts'
import type {Guest} from '../provisioner.ts'
import {type TreeUploadOptions, uploadTree} from './tree-upload.ts'
import {describeTree} from './tree.ts'
import {guestShells} from '../../../test/support/shells.ts'
import {downloadTree} from './tree-download.ts'

const tools = mkdtempSync(join(tmpdir(), 'vmctl-test-'))
afterAll(() => rmSync(tools, {recursive: true}))
const shells = guestShells().filter(({missing}) => missing === undefined)

/** A guest that counts what is asked of it. */
const counting = (guest: Guest): Guest & {calls: number} => ({
  ...guest,
  calls: 0,
  exec(command, options) {
    this.calls++
    return guest.exec(command, options)
  },
})

const hostile = [
  '-n',
  '--help',
  "it's",
  '"q"',
  '$(id)',
  '`id`',
  '*',
  'line\nfeed',
  'cr\r',
  '\\back',
  'ümläut→日本',
  ' ',
  '~',
  ';&|',
  'a\nb\\c',
  // Longer than a header of tar has room for, also as the target of a link.
  'long-'.repeat(40),
]

const makeTree = (): string => {
  const root = join(temporaryDirectory(), 'source')
  mkdirSync(join(root, 'empty'), {recursive: true})
  mkdirSync(join(root, 'sub/deep'), {recursive: true})
  for (const name of hostile) writeFileSync(join(root, 'sub', name), name)
  for (const name of hostile) symlinkSync(name, join(root, `link ${name}`))
  mkdirSync(join(root, 'sub/deep/-d\n'))
  writeFileSync(join(root, 'sub/deep/-d\n/f'), 'x')
  writeFileSync(join(root, 'big'), Buffer.alloc(700_000, 'abc'))
  writeFileSync(join(root, 'program'), '#!/bin/sh\n', {mode: 0o755})
  writeFileSync(join(root, 'secret'), 'x', {mode: 0o400})
  return root
}

describe.each(shells)('with the shell and the programs of $name', ({name: shell, path}) => {
  const guest = counting(localGuest(path, tools))
  const put = async (source: string, destination: string, options?: TreeUploadOptions) => {
    guest.calls = 0
    const result = await uploadTree(guest, {source, destination}, options)
    return {...result, calls: guest.calls}
  }

  test('all of it the first time; the second time one question and nothing else', async () => {
    const source = makeTree()
    const destination = join(temporaryDirectory(), "de st'ination", 'x')
    const entries = (await describeTree(source)).length
    expect(await put(source, destination)).toMatchObject({sent: entries, unchanged: 0, calls: 2})
    expect(await describeTree(destination)).toEqual(await describeTree(source))
    const inodes = readdirSync(join(destination, 'sub')).map((name) => lstatSync(join(destination, 'sub', name)).ino)
    expect(await put(source, destination)).toEqual({sent: 0, bytes: 0, unchanged: entries, removed: 0, leftOut: [], calls: 1})
    expect(readdirSync(join(destination, 'sub')).map((name) => lstatSync(join(destination, 'sub', name)).ino)).toEqual(inodes)
  })

  test('and it comes back; what is not there is told', async () => {
    const source = makeTree()
    const destination = join(temporaryDirectory(), 'x')
    await downloadTree(guest, {source, destination})
    expect(await describeTree(destination)).toEqual(await describeTree(source))
    const other = join(temporaryDirectory(), 'x')
    await expect(downloadTree(guest, {source: join(source, 'none'), destination: other})).rejects.toMatchObject({
      code: 'vmctl::guest::copy_failed',
      message: expect.stringMatching(/^Cannot copy .* from the guest: .*none/),
    })
    expect(existsSync(other)).toBe(false)
  })

  // A busybox that knows tar and gzip takes no others.
  test.skipIf(shell === 'busybox').each([
    ['tar', 2],
    ['gzip', 3],
  ])('what comes back is refused when %s is not content with it', async (program, status) => {
    const programs = join(temporaryDirectory(), 'bin')
    mkdirSync(programs)
    writeFileSync(join(programs, program), `#!/bin/sh\n/bin/${program} "$@"\necho "it is ill" >&2\nexit ${status}\n`, {mode: 0o755})
    const destination = join(temporaryDirectory(), 'x')
    await expect(downloadTree(localGuest(`${programs}:${path}`, tools), {source: makeTree(), destination})).rejects.toMatchObject({
      message: expect.stringMatching(/: it is ill$/),
    })
    expect(existsSync(destination)).toBe(false)
  })

  test.each<[string, number, (root: string) => void]>([
    ['the content of a file', 1, (root) => appendFileSync(join(root, 'sub', "it's"), 'more')],
    ['the content of a file with a line feed', 1, (root) => appendFileSync(join(root, 'sub/line\nfeed'), 'more')],
    ['a mode', 0, (root) => chmodSync(join(root, 'program'), 0o700)],
    ['a mode of a directory', 0, (root) => chmodSync(join(root, 'empty'), 0o500)],
    ['the target of a link', 1, (root) => (rmSync(join(root, 'link *')), symlinkSync('else', join(root, 'link *')))],
    ['a file that becomes a link', 1, (root) => (rmSync(join(root, 'big')), symlinkSync('sub', join(root, 'big')))],
    [
      'a new directory',
      3,
      (root) => (mkdirSync(join(root, 'new/er'), {recursive: true, mode: 0o555}), writeFileSync(join(root, 'new/er/f'), '')),
    ],
  ])('only what differs is sent: %s', async (_what, sent, change) => {
    const source = makeTree()
    const destination = join(temporaryDirectory(), 'x')
    await put(source, destination)
    change(source)
    expect(await put(source, destination)).toMatchObject({sent})
    expect(await describeTree(destination)).toEqual(await describeTree(source))
    expect((await put(source, destination)).calls).toBe(1)
  })

  test('a pipe below it is left out and named, and all else arrives', async () => {
    const source = makeTree()
    const destination = join(temporaryDirectory(), 'x')
    const expected = await describeTree(source)
    execFileSync('mkfifo', [join(source, 'sub/pipe')])
    expect(await put(source, destination)).toMatchObject({sent: expected.length, leftOut: ['sub/pipe is a pipe']})
    expect(await describeTree(destination)).toEqual(expected)
    expect(readdirSync(join(destination, 'sub'))).not.toContain('pipe')
    expect(await put(source, destination)).toMatchObject({sent: 0, leftOut: ['sub/pipe is a pipe']})
  })

  test('a mirror loses what the source lost, what is ignored aside, and nothing outside', async () => {
    const outside = temporaryDirectory()
    writeFileSync(join(outside, 'precious'), 'x')
    const source = makeTree()
    const destination = join(temporaryDirectory(), 'x')
    await put(source, destination)
    for (const name of hostile) rmSync(join(source, 'sub', name))
    mkdirSync(join(destination, 'extra/kept'), {recursive: true})
    for (const name of ['extra/kept/a.log', 'extra/b', 'sub/c\n']) writeFileSync(join(destination, name), '')
    symlinkSync(outside, join(destination, 'extra/link'))
    const before = (await describeTree(destination)).length
    await put(source, destination)
    expect(await describeTree(destination)).toHaveLength(before)
    const options = {mirror: true, ignore: ignorePatterns(['*.log'])}
    expect(await put(source, destination, options)).toMatchObject({removed: hostile.length + 3})
    expect((await put(source, destination, options)).calls).toBe(1)
    expect(existsSync(join(destination, 'extra/kept/a.log'))).toBe(true)
    rmSync(join(destination, 'extra'), {recursive: true})
    expect(await describeTree(destination)).toEqual(await describeTree(source))
    expect(readdirSync(outside)).toEqual(['precious'])
  })

  test('what is a link or of another type in the guest is never written through; a mirror replaces it', async () => {
    const outside = temporaryDirectory()
    const source = makeTree()
    const destination = join(temporaryDirectory(), 'x')
    await put(source, destination)
    rmSync(join(destination, 'sub'), {recursive: true})
    symlinkSync(outside, join(destination, 'sub'))
    await expect(put(source, destination)).rejects.toMatchObject({message: '"sub" is a symbolic link in the guest, and a directory here.'})
    rmSync(join(destination, 'big'))
    mkdirSync(join(destination, 'big/inner'), {recursive: true})
    await put(source, destination, {mirror: true})
    expect(await describeTree(destination)).toEqual(await describeTree(source))
    expect(readdirSync(outside)).toEqual([])
  })

  test.each<[string, (source: string) => void, TreeUploadOptions]>([
    ['a file that is new', (source) => writeFileSync(join(source, 'sub/new'), 'x'), {}],
    ['a file that changed', (source) => appendFileSync(join(source, 'sub/-n'), 'x'), {}],
    ['a mode', (source) => chmodSync(join(source, 'sub/-n'), 0o777), {}],
    ['an owner', () => undefined, {owner: '12345'}],
    ['what a mirror removes', (source) => rmSync(join(source, 'sub/-n')), {mirror: true}],
    ['what gives way', (source) => (rmSync(join(source, 'sub/-n')), mkdirSync(join(source, 'sub/-n'))), {mirror: true}],
  ])('a directory that is exchanged for a link while we work is not followed: %s', async (_what, change, options) => {
    const source = makeTree()
    const destination = join(temporaryDirectory(), 'x')
    await put(source, destination)
    const outside = join(temporaryDirectory(), 'outside')
    cpSync(join(destination, 'sub'), outside, {recursive: true})
    const before = await describeTree(outside)
    change(source)
    let questions = 0
    const exchanging: Guest = {
      ...guest,
      exec: async (command, given) => {
        const exit = await guest.exec(command, given)
        if (questions++ === 0) {
          rmSync(join(destination, 'sub'), {recursive: true})
          symlinkSync(outside, join(destination, 'sub'))
        }
        return exit
      },
    }
    await expect(uploadTree(exchanging, {source, destination}, options)).rejects.toMatchObject({
      code: 'vmctl::guest::copy_failed',
      message: expect.stringContaining('was exchanged meanwhile'),
    })
    expect(questions).toBe(2)
    expect(await describeTree(outside)).toEqual(before)
    expect(lstatSync(join(outside, 'program'), {throwIfNoEntry: false})).toBeUndefined()
    expect(new Set(readdirSync(outside).map((name) => lstatSync(join(outside, name)).uid))).toEqual(new Set([process.getuid?.()]))
    expect(readdirSync(destination).filter((name) => name.startsWith('.vmctl-'))).toEqual([])
  })

  testUnless(spawnSync('unshare', ['-m', 'true']).status === 0 ? undefined : 'no mount namespace can be made')(
    'a mirror that a link leads to a vital directory deletes nothing',
    async () => {
      const source = makeTree()
      const link = join(temporaryDirectory(), 'link')
      symlinkSync('/srv', link)
      // An empty /srv of its own for each command, so that nothing is lost if this should fail.
      const apart: Guest = {
        ...guest,
        exec: (command, given) =>
          guest.exec(
            `exec /usr/bin/unshare -m sh -c ${quote(`/usr/bin/mount -t tmpfs none /srv && : >/srv/precious && { ${command}\n} ; s=$?; [ -e /srv/precious ] || exit 99; exit $s`)}`,
            given,
          ),
      }
      expect(await apart.exec('true')).toMatchObject({code: 0})
      await expect(uploadTree(apart, {source, destination: link}, {mirror: true})).rejects.toThrow('which is too much to be mirrored')
    },
  )

  test('what is ignored is not sent', async () => {
    const source = makeTree()
    const destination = join(temporaryDirectory(), 'x')
    await put(source, destination, {ignore: ignorePatterns(['sub/', 'link *', '/big'])})
    expect(readdirSync(destination).toSorted()).toEqual(['empty', 'program', 'secret'])
  })

  /** A guest during whose unpacking a large file of the source changes: its hash is known by then, its content is not read yet. */
  const changingLate = (source: string): Guest => {
    const inner = localGuest(path, tools)
    let asked = 0
    return {
      ...inner,
      exec: (command, options) => {
        if (++asked === 2) writeFileSync(join(source, 'big'), Buffer.alloc(700_000, 'x'))
        return inner.exec(command, options)
      },
    }
  }

  test('bytes that changed on the way are found out before anything is moved', async () => {
    const source = makeTree()
    const destination = join(temporaryDirectory(), 'x')
    const late = changingLate(source)
    await expect(uploadTree(late, {source, destination})).rejects.toMatchObject({
      message: expect.stringContaining('did not arrive as it was'),
    })
    expect(readdirSync(join(destination, '..'))).toEqual([])
  })

  test('of many files each is compared, those of the first part too', async () => {
    const source = makeTree()
    for (let index = 0; index < 1200; index++) writeFileSync(join(source, 'sub', `f${index}`), `${index}`)
    const destination = join(temporaryDirectory(), 'x')
    await put(source, destination)
    expect(await describeTree(destination)).toEqual(await describeTree(source))
    const late = changingLate(source)
    const other = join(temporaryDirectory(), 'x')
    await expect(uploadTree(late, {source, destination: other})).rejects.toMatchObject({
      message: expect.stringContaining('./big did not arrive as it was'),
    })
    expect(readdirSync(join(other, '..'))).toEqual([])
  })
})

test('many files arrive where sleep takes whole seconds only', async () => {
  const programs = join(temporaryDirectory(), 'bin')
  mkdirSync(programs)
  writeFileSync(join(programs, 'sleep'), '#!/bin/sh\ncase $1 in *[!0-9]*) exit 1 ;; esac\nexec /usr/bin/sleep "$1"\n', {mode: 0o755})
  const source = join(temporaryDirectory(), 'source')
  mkdirSync(source)
  for (let index = 0; index < 1200; index++) writeFileSync(join(source, `f${index}`), `${index}`)
  const destination = join(temporaryDirectory(), 'x')
  await uploadTree(localGuest(`${programs}:/usr/bin:/bin`, tools), {source, destination})
  expect(await describeTree(destination)).toEqual(await describeTree(source))
})

test('any tree arrives, and any change of it', {timeout: 240_000}, async () => {
  const guest = localGuest('/usr/bin:/bin', tools)
  const name = fc
    .oneof(fc.constantFrom(...hostile, 'a', 'b', 'c'), fc.stringMatching(/^[^/\0\uFFFD]{1,12}$/u))
    .filter((text) => text !== '.' && text !== '..')
  const path = fc.array(name, {minLength: 1, maxLength: 3})
  const tree = fc.array(fc.tuple(path, fc.string({maxLength: 20}), fc.constantFrom(0o644, 0o600, 0o755)), {maxLength: 12})
  const plant = (root: string, files: readonly (readonly [string[], string, number])[]): void => {
    mkdirSync(root)
    for (const [parts, content, mode] of files) {
      try {
        mkdirSync(join(root, ...parts.slice(0, -1)), {recursive: true})
        writeFileSync(join(root, ...parts), content, {mode})
      } catch {
        // A file of this name, where the other wants a directory.
      }
    }
  }
  await fc.assert(
    fc.asyncProperty(tree, tree, async (first, second) => {
      const root = mkdtempSync(join(tools, 'tree-'))
      plant(join(root, 'a'), first)
      plant(join(root, 'b'), second)
      for (const source of ['a', 'b', 'a']) {
        await uploadTree(guest, {source: join(root, source), destination: join(root, 'to')}, {mirror: true})
        expect(await describeTree(join(root, 'to'))).toEqual(await describeTree(join(root, source)))
      }
      rmSync(root, {recursive: true})
    }),
    {numRuns: 25},
  )
})

testUnless(needsRoot())('an owner is compared by name and by number', async () => {
  const guest = counting(localGuest('/usr/bin:/bin', tools))
  const source = makeTree()
  const destination = join(temporaryDirectory(), 'x')
  await uploadTree(guest, {source, destination}, {owner: 'nobody:nogroup'})
  expect(statSync(destination).uid).toBe(65_534)
  for (const owner of ['nobody', 'nobody:nogroup', '65534:65534']) {
    guest.calls = 0
    await uploadTree(guest, {source, destination}, {owner})
    expect(guest.calls).toBe(1)
  }
  await uploadTree(guest, {source, destination}, {owner: 'root'})
  expect(lstatSync(join(destination, 'link *')).uid).toBe(0)
})

const gitMissing = missingProgram('git', ['--version'])

testUnless(gitMissing)('patterns mean what they mean to git', {timeout: 240_000}, () => {
  const root = temporaryDirectory()
  execFileSync('git', ['init', '-q', root])
  const names = [
    'a.log',
    'a',
    'x/a.log',
    'x/y/a',
    'node_modules/m',
    'x/node_modules/m',
    'build/x',
    'x/build',
    'a b',
    '[x]',
    '#c',
    '!d',
    'x/y/z/a.log',
    'ab',
    'a/../-',
  ]
    .filter((name) => !name.includes('..'))
    .filter((name) => name !== 'a')
  for (const name of names) {
    mkdirSync(join(root, name, '..'), {recursive: true})
    writeFileSync(join(root, name), '')
  }
  const piece = fc.constantFrom(
    '*',
    '**',
    '?',
    'a',
    'b',
    'x',
    'y',
    '.log',
    '/',
    '/',
    '[ab]',
    '[!a]',
    '[a-c]',
    '\\*',
    'node_modules',
    '#',
    '[x]',
  )
  const pattern = fc
    .tuple(fc.constantFrom('', '!', '/'), fc.array(piece, {minLength: 1, maxLength: 7}))
    .map(([first, rest]) => first + rest.join(''))
  fc.assert(
    fc.property(
      fc
        .array(pattern, {minLength: 1, maxLength: 3})
        // Git takes ** after a single first character for one at the beginning, which its manual does not say.
        .filter((list) => list.every((text) => !text.startsWith('#') && !/\/\/|\*\*\*|^[!/]?[^*/]\*\*/.test(text))),
      (patterns) => {
        writeFileSync(join(root, '.git/info/exclude'), `${patterns.join('\n')}\n`)
        const ignored = execFileSync('git', ['-C', root, 'ls-files', '-z', '--others', '--exclude-standard'], {encoding: 'utf8'})
        const git = ignored.split('\0').filter(Boolean).toSorted()
        const ignore = ignorePatterns(patterns)
        const isKept = (name: string): boolean =>
          name.split('/').every((_, index, parts) => !ignore(parts.slice(0, index + 1).join('/'), index < parts.length - 1))
        expect(names.filter(isKept).toSorted(), JSON.stringify(patterns)).toEqual(git)
      },
    ),
    {numRuns: 100, examples: [[['/**', '!?']], [['**', '!?']], [['x/**', '!x/y']]]},
  )
})

test('a source that vanishes is an error that names it', async () => {
  const source = makeTree()
  renameSync(source, `${source}2`)
  await expect(uploadTree(localGuest('/usr/bin:/bin', tools), {source, destination: '/tmp/x'})).rejects.toMatchObject({
    code: 'vmctl::io',
    message: expect.stringContaining(source),
  })
  expect(readFileSync(`${source}2/program`, 'utf8')).toBe('#!/bin/sh\n')
})

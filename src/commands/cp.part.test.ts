import {execFileSync, spawn} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join, relative} from 'node:path'

import {afterAll, beforeAll, expect, test, vi} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {describeUnless} from '../../test/support/programs.ts'
import {type Project, startProject} from '../../test/support/project.ts'
import {runCommand, vmctlWords} from '../../test/support/run-command.ts'
import {endProcess, sshdMissing} from '../../test/support/sshd.ts'
import {parsePlace} from '../engine/reach/copy.ts'

const missing = sshdMissing()

/** Names, types, modes, targets and contents, by other means than vmctl's own. */
const describeTree = (root: string): unknown[] =>
  readdirSync(root, {recursive: true, encoding: 'utf8'})
    .toSorted()
    .map((name) => {
      const info = lstatSync(join(root, name))
      const content = info.isSymbolicLink() ? readlinkSync(join(root, name)) : info.isFile() ? readFileSync(join(root, name), 'utf8') : ''
      return [name, info.mode, content]
    })

describeUnless(missing)('vmctl cp', () => {
  let project: Project
  beforeAll(async () => {
    project = await startProject()
    expect(await project.run(project.vm('web'), 'up')).toMatchObject({exitCode: 0})
  })
  afterAll(() => project[Symbol.asyncDispose]())

  const makeTree = (): string => {
    const root = join(temporaryDirectory(), 'source')
    mkdirSync(join(root, 'sub/empty'), {recursive: true})
    for (const name of ['-f', "it's", 'sub/line\nfeed', 'sub/ü']) writeFileSync(join(root, name), name)
    chmodSync(join(root, '-f'), 0o750)
    symlinkSync('/no/such', join(root, 'link'))
    return root
  }

  test('pipes are left out of a directory, and are no file', async () => {
    const source = makeTree()
    const there = join(temporaryDirectory(), 'there')
    execFileSync('mkfifo', [join(source, 'pipe')])
    expect(await runCommand('cp', source, `web:${there}`)).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining(`web: left out of ${source}: pipe is a pipe\n`),
    })
    expect(await runCommand('cp', join(source, 'pipe'), `web:${there}`)).toMatchObject({
      stderr: expect.stringContaining('it is not a file'),
    })
    rmSync(join(source, 'pipe'))
    expect(describeTree(there)).toEqual(describeTree(source))
  })

  test('a directory in, again, and out', async () => {
    const source = makeTree()
    const there = join(temporaryDirectory(), 'new/there')
    expect((await runCommand('cp', source, `web:${there}`, '--json')).json).toEqual({
      name: 'web',
      from: source,
      to: `web:${there}`,
      kind: 'directory',
      sent: 7,
      unchanged: 0,
    })
    expect(describeTree(there)).toEqual(describeTree(source))
    expect(await runCommand('cp', source, `web:${there}`)).toMatchObject({
      exitCode: 0,
      stdout: `${source} → web:${there} (0 sent, 7 unchanged)\n`,
    })
    const back = join(temporaryDirectory(), 'back')
    expect((await runCommand('cp', `web:${there}`, back, '--json')).json).toEqual({
      name: 'web',
      from: `web:${there}`,
      to: back,
      kind: 'directory',
    })
    expect(describeTree(back)).toEqual(describeTree(source))
    expect(await runCommand('cp', '--privileged', `web:${there}`, `${back}/`)).toMatchObject({exitCode: 0})
    expect(describeTree(join(back, 'there'))).toEqual(describeTree(source))
    expect(readdirSync(join(back, '..'))).toEqual(['back'])
  })

  test('out of the guest nothing is lost that was there, and a conflict is told', async () => {
    const source = makeTree()
    const back = temporaryDirectory()
    writeFileSync(join(back, 'mine'), 'mine')
    writeFileSync(join(back, '-f'), 'old')
    expect(await runCommand('cp', `web:${source}`, back)).toMatchObject({exitCode: 0})
    expect([readFileSync(join(back, 'mine'), 'utf8'), readFileSync(join(back, '-f'), 'utf8')]).toEqual(['mine', '-f'])
    rmSync(join(back, 'sub'), {recursive: true})
    symlinkSync(temporaryDirectory(), join(back, 'sub'))
    expect(await runCommand('cp', `web:${source}`, back)).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('is not a directory, unlike in the guest'),
    })
  })

  /** A directory whose content takes a while to arrive. */
  const makeLarge = (): string => {
    const source = join(temporaryDirectory(), 'source')
    mkdirSync(source)
    writeFileSync(join(source, 'first'), 'x')
    // Nothing can be compressed away, so most of it is still here when the first of it has arrived.
    writeFileSync(join(source, 'large'), randomBytes(2 ** 26))
    return source
  }

  /** Runs `vmctl cp`, and cuts it when something of what it copies has arrived below `parent`. */
  const cutCopy = async (parent: string, words: readonly string[], cut: (kill: (signal: NodeJS.Signals) => void) => void) => {
    const arriving = () => readdirSync(parent, {recursive: true, encoding: 'utf8'}).some((name) => name.endsWith('/large'))
    const child = spawn(process.execPath, [...vmctlWords, 'cp', ...words], {stdio: ['ignore', 'ignore', 'pipe']})
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const ended = once(child, 'close')
    await vi.waitFor(() => expect(arriving() || child.exitCode !== null).toBe(true), {timeout: 60_000, interval: 2})
    cut((signal) => child.kill(signal))
    const [code, signal] = await ended
    return {end: signal ?? code, stderr}
  }

  const loseConnection = (): void => {
    const servers = execFileSync('pgrep', ['sshd'], {encoding: 'utf8'}).split('\n').map(Number)
    for (const pid of project.sshd.sessions()) if (servers.includes(pid)) endProcess(pid)
  }

  test.each<[string, (kill: (signal: NodeJS.Signals) => void) => void, string | number]>([
    ['kill -9', (kill) => kill('SIGKILL'), 'SIGKILL'],
    ['Ctrl+C', (kill) => kill('SIGINT'), 130],
    ['a lost connection', loseConnection, 6],
  ])('a directory that is cut by %s is not there, in the guest or here', {timeout: 240_000}, async (_what, cut, end) => {
    const source = makeLarge()
    const there = temporaryDirectory()
    expect(await cutCopy(there, [source, `web:${there}/new/er`], cut)).toMatchObject({end})
    await vi.waitFor(() => expect(readdirSync(there)).toEqual([]), {timeout: 60_000})
    const here = temporaryDirectory()
    expect(await cutCopy(here, [`web:${source}`, join(here, 'new')], cut)).toMatchObject({end})
    // Nobody is left to tidy up after kill -9; what is there says by its name that it is nothing.
    expect(readdirSync(here).filter((name) => end !== 'SIGKILL' || !name.endsWith('.tmp'))).toEqual([])
  })

  test.each<[string, (at: string) => readonly [string, string], RegExp]>([
    ['a file in the way here', (at) => ['web:SOURCE', `${at}/file`], /\/file is not a directory, unlike in the guest\./],
    ['a file above it here', (at) => ['web:SOURCE', `${at}/file/x`], /Cannot (?:write|make the directory) .*\/file\/x: not a directory\./],
    ['nothing above it here', (at) => ['web:SOURCE', `${at}/none/x`], /Cannot make the directory .*\/none\/x: no such file or directory\./],
    ['a file in the way there', (at) => ['SOURCE', `web:${at}/file`], /\/file exists and is not a directory/],
    ['a file above it there', (at) => ['SOURCE', `web:${at}/file/x`], /\/file is not a directory/],
    ['a file in a directory there', (at) => ['SOURCE', `web:${at}/sub`], /"sub" is a file in the guest, and a directory here\./],
  ])('a directory that cannot be put: %s', async (_what, words, message) => {
    const at = temporaryDirectory()
    writeFileSync(join(at, 'file'), 'mine')
    mkdirSync(join(at, 'sub'))
    writeFileSync(join(at, 'sub/sub'), 'mine')
    const source = makeTree()
    const ran = await runCommand('cp', ...words(at).map((word) => word.replace('SOURCE', source)))
    expect(ran.exitCode).not.toBe(0)
    expect(ran.stderr).toMatch(message)
    expect(ran.stderr).not.toMatch(/E[A-Z]{4,}:|\.tmp/)
    expect(readdirSync(at, {recursive: true, encoding: 'utf8'}).toSorted()).toEqual(['file', 'sub', 'sub/sub'])
  })

  test('a file in and out, into a directory and by another name', async () => {
    const there = temporaryDirectory()
    const here = temporaryDirectory()
    const file = join(here, 'a.conf')
    writeFileSync(file, 'content', {mode: 0o640})
    for (const [to, arrives] of [
      [there, 'a.conf'],
      [`${there}/`, 'a.conf'],
      [`${there}/b.conf`, 'b.conf'],
    ] as const) {
      expect((await runCommand('cp', file, `web:${to}`, '--json')).json).toMatchObject({kind: 'file', to: `web:${join(there, arrives)}`})
      expect(readFileSync(join(there, arrives), 'utf8')).toBe('content')
      expect(statSync(join(there, arrives)).mode & 0o777).toBe(0o640)
    }
    expect(await runCommand('cp', `web:${there}/b.conf`, here)).toMatchObject({exitCode: 0})
    expect(await runCommand('cp', `web:${there}/b.conf`, join(here, 'c.conf'))).toMatchObject({exitCode: 0})
    expect(readdirSync(here).toSorted()).toEqual(['a.conf', 'b.conf', 'c.conf'])
  })

  test('a relative path in the guest starts at the home directory', async () => {
    const there = temporaryDirectory()
    const file = join(temporaryDirectory(), '-x')
    writeFileSync(file, '1')
    // The server of the tests gives its users a home of their own, whatever the account has.
    const home = relative(project.sshd.directory, there)
    for (const to of [`web:${home}`, `web:~/${home}/`, `web:${home}/-x`]) {
      expect(await runCommand('cp', file, to), to).toMatchObject({exitCode: 0})
      expect(existsSync(join(there, '-x')), to).toBe(true)
      rmSync(join(there, '-x'))
    }
    expect(['web:', 'web:~', 'web:~/a', 'web:~a', './a:b', 'a/b:c', '/a:b', ':a'].map(parsePlace)).toEqual([
      {vm: 'web', path: '.'},
      {vm: 'web', path: '.'},
      {vm: 'web', path: 'a'},
      {vm: 'web', path: '~a'},
      {path: './a:b'},
      {path: 'a/b:c'},
      {path: '/a:b'},
      {path: ':a'},
    ])
  })

  test.each<[string, readonly string[], number, string]>([
    ['both here', ['a', './b:c'], 2, 'Both paths are on the host.'],
    ['both there', ['web:a', 'web:b'], 2, 'Both paths are in a guest.'],
    ['no such VM', ['wbe:/a', '.'], 3, 'wbe'],
    ['nothing here', ['/no/such/file', 'web:/tmp/x'], 4, '/no/such/file'],
    ['nothing there', ['web:/no/such/file', '.'], 3, 'web has no /no/such/file'],
    ['one path', ['web:/a'], 2, 'DESTINATION'],
  ])('refused: %s', async (_what, words, exitCode, message) => {
    const ran = await runCommand('cp', ...words)
    expect(ran.exitCode).toBe(exitCode)
    expect(ran.stderr).toContain(message)
  })

  test('a VM that does not run', async () => {
    await runCommand('stop', 'web')
    const ran = await runCommand('cp', 'web:/etc/hosts', '.')
    expect(ran).toMatchObject({exitCode: 5, stderr: expect.stringContaining('vmctl start web')})
    await runCommand('start', 'web')
  })
})

import {randomBytes} from 'node:crypto'
import {chmod, lstat, mkdir, readdir, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {describeUnless, needsRoot, testUnless} from '../../test/support/programs.ts'
import {endProcess, sshdMissing, startSshd, type TestSshd} from '../../test/support/sshd.ts'
import {sshCandidates} from './ssh/candidates.ts'
import {exec} from './commands.ts'
import {connect, type GuestConnection} from './ssh/ssh.ts'
import {download, upload} from './transfer.ts'

const missing = sshdMissing()

describeUnless(missing)('files to and from a real sshd', () => {
  let sshd: TestSshd
  let guest: GuestConnection
  let local: string
  let remote: string
  const login = async (): Promise<GuestConnection> =>
    connect({stream: await sshd.dial(), user: sshd.user, auth: await sshCandidates({explicit: sshd.keyPath}), verifyHostKey: () => true})
  beforeAll(async () => {
    sshd = await startSshd()
    guest = await login()
  })
  afterAll(async () => {
    guest.close()
    await sshd[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    const directory = temporaryDirectory()
    ;[local, remote] = [join(directory, 'local'), join(directory, 'remote')]
    await mkdir(local)
    await mkdir(remote)
  })
  const localFile = async (content: string | Uint8Array, mode = 0o644): Promise<string> => {
    const path = join(local, 'source')
    await writeFile(path, content)
    await chmod(path, mode)
    return path
  }
  const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o7777

  test('content and mode arrive, whatever the size', async () => {
    for (const [size, mode] of [
      [0, 0o600],
      [1, 0o755],
      [262_144, 0o640],
      [5_000_001, 0o444],
    ] as const) {
      const content = randomBytes(size)
      const progress: number[] = []
      const target = join(remote, `file-${size}`)
      await upload(guest, await localFile(content, mode), target, {onProgress: (bytes) => progress.push(bytes)})
      expect((await readFile(target)).equals(content)).toBe(true)
      expect(await modeOf(target)).toBe(mode)
      expect(progress.at(-1) ?? 0).toBe(size)
      await download(guest, target, join(local, 'back'))
      expect((await readFile(join(local, 'back'))).equals(content)).toBe(true)
      expect(await modeOf(join(local, 'back'))).toBe(mode)
      await rm(join(local, 'source'))
    }
    expect(await readdir(local)).toEqual(['back'])
  })

  test('a mode and an owner that are given win', async () => {
    const target = join(remote, 'file')
    const owner = `${process.getuid?.()}:${process.getgid?.()}`
    await upload(guest, await localFile('x'), target, {mode: 0o4711, owner})
    expect(await modeOf(target)).toBe(0o4711)
    await download(guest, target, join(local, 'copy'), {mode: 0o600})
    expect(await modeOf(join(local, 'copy'))).toBe(0o600)
    // The set-user-ID bit does not travel by itself.
    await download(guest, target, join(local, 'copy'))
    expect(await modeOf(join(local, 'copy'))).toBe(0o711)
    await expect(upload(guest, join(local, 'source'), target, {owner: 'no-such-user'})).rejects.toMatchObject({
      code: 'vmctl::guest::copy_failed',
      message: expect.stringContaining('no-such-user'),
    })
    expect(await readdir(remote)).toEqual(['file'])
  })

  test('hostile names are only names', async () => {
    const names = [
      'with space',
      "it's",
      '-rf',
      '$(touch hacked)',
      '`id`',
      'new\nline',
      'ünï→日本',
      'a"b',
      '*',
      '~',
      ';true',
      '\\',
      '%s',
      'x'.repeat(255),
    ]
    const source = await localFile('content')
    for (const name of names) {
      await upload(guest, source, join(remote, name))
      await download(guest, join(remote, name), join(local, 'copy'))
      expect(await readFile(join(local, 'copy'), 'utf8')).toBe('content')
    }
    expect((await readdir(remote)).toSorted()).toEqual(names.toSorted())
  })

  test('a relative path starts at the home of the user, also one with a dash', async () => {
    await upload(guest, await localFile('content'), '-n')
    expect(await exec(guest, 'cat ./-n && rm ./-n')).toMatchObject({stdout: 'content'})
  })

  test('an old file is replaced as a whole, a link is not followed', async () => {
    await writeFile(join(remote, 'victim'), 'untouched')
    await symlink('victim', join(remote, 'link'))
    await upload(guest, await localFile('new'), join(remote, 'link'))
    expect((await lstat(join(remote, 'link'))).isSymbolicLink()).toBe(false)
    expect(await readFile(join(remote, 'victim'), 'utf8')).toBe('untouched')
  })

  test('what cannot be is an error, and nothing is left behind', async () => {
    const source = await localFile('x')
    await mkdir(join(remote, 'directory'))
    await expect(upload(guest, source, join(remote, 'directory'))).rejects.toThrow(/is a directory/)
    await writeFile(join(remote, 'file'), '')
    await expect(upload(guest, source, join(remote, 'file', 'file'))).rejects.toMatchObject({code: 'vmctl::guest::copy_failed'})
    await expect(upload(guest, source, `${remote}/`)).rejects.toThrow(/is not the name of a file/)
    await rm(join(remote, 'file'))
    await expect(upload(guest, join(local, 'none'), join(remote, 'file'))).rejects.toMatchObject({code: 'vmctl::io'})
    await expect(upload(guest, local, join(remote, 'file'))).rejects.toThrow(/not a file/)
    await expect(download(guest, join(remote, 'none'), join(local, 'copy'))).rejects.toThrow(/none/)
    await expect(download(guest, join(remote, 'directory'), join(local, 'copy'))).rejects.toThrow(/is a directory/)
    await expect(download(guest, source, join(local, 'none', 'copy'))).rejects.toMatchObject({code: 'vmctl::io'})
    expect(await readdir(remote)).toEqual(['directory'])
    expect(await readdir(local)).toEqual(['source'])
  })

  test('missing directories are made as a user expects them, whatever the mode of the file and the umask of the guest', async () => {
    await upload(guest, await localFile('x', 0o600), join(remote, 'a b', "c'd", 'file'))
    expect(await readFile(join(remote, 'a b', "c'd", 'file'), 'utf8')).toBe('x')
    expect(await Promise.all(['a b', "a b/c'd"].map((name) => modeOf(join(remote, name))))).toEqual([0o755, 0o755])
    await mkdir(join(remote, 'line\n'), {mode: 0o700})
    await upload(guest, join(local, 'source'), join(remote, 'line\n', 'file'))
    expect(await modeOf(join(remote, 'line\n'))).toBe(0o700)
  })

  test('an upload that is cut leaves the old file and no other', async () => {
    const target = join(remote, 'file')
    await writeFile(target, 'old')
    const connection = await login()
    const own = Number((await exec(connection, 'echo $PPID')).stdout)
    const cut = upload(connection, await localFile(Buffer.alloc(60_000_000)), target, {
      onProgress: (bytes) => {
        if (bytes > 10_000_000) endProcess(own)
      },
    })
    await expect(cut).rejects.toMatchObject({code: 'vmctl::ssh::connection_lost'})
    await expect.poll(() => readdir(remote), {timeout: 5000}).toEqual(['file'])
    expect(await readFile(target, 'utf8')).toBe('old')
  })

  test('an upload or download that is aborted leaves nothing', async () => {
    const abort = new AbortController()
    const source = await localFile(Buffer.alloc(60_000_000))
    const onProgress = (): void => abort.abort(new Error('enough'))
    await expect(upload(guest, source, join(remote, 'file'), {onProgress, signal: abort.signal})).rejects.toThrow('enough')
    await expect.poll(() => readdir(remote), {timeout: 5000}).toEqual([])
    const again = new AbortController()
    await expect(
      download(guest, source, join(local, 'copy'), {onProgress: () => again.abort(new Error('enough')), signal: again.signal}),
    ).rejects.toThrow('enough')
    expect(await readdir(local)).toEqual(['source'])
  })

  testUnless(needsRoot())('as root by the privileged way', async () => {
    await upload(guest, await localFile('x', 0o600), join(remote, 'file'), {privileged: true, owner: 'nobody'})
    expect((await stat(join(remote, 'file'))).uid).toBeGreaterThan(0)
    await download(guest, join(remote, 'file'), join(local, 'copy'), {privileged: true})
    expect(await readFile(join(local, 'copy'), 'utf8')).toBe('x')
  })
})

import {execFileSync} from 'node:child_process'
import {chownSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest'

import {fakeRepository} from '../../test/support/fake-registry.ts'
import {type ImageServer, startImageServer} from '../../test/support/image-server.ts'
import {digestOf, makeImage} from '../../test/support/images.ts'
import {makeKey, signDetached, type TestKey} from '../../test/support/publishers.ts'
import {makeWorkspace, runCommand, spawnCommand, type Workspace} from '../../test/support/run-command.ts'
import {lockedDigests} from '../engine/lock.ts'

let workspace: Workspace
let server: ImageServer
let key: TestKey
/** Two disks of a publisher, one after the other. */
let disks: readonly [Buffer, Buffer]

beforeAll(async () => {
  workspace = makeWorkspace()
  server = await startImageServer()
  key = await makeKey()
  disks = [makeImage(workspace.directory, 'qcow2'), makeImage(workspace.directory, 'qcow2', '-o', 'cluster_size=32k')]
  process.env.XDG_CONFIG_HOME = join(workspace.directory, 'config')
  mkdirSync(join(workspace.directory, 'config/vmctl'), {recursive: true})
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  workspace[Symbol.dispose]()
})

const path = (name: string): string => join(workspace.directory, name)

const lockFile = (): string => readFileSync(path('VMFile.lock'), 'utf8')

/** What the publisher of the tests has: builds in dated folders, for two processors, in one list. */
const catalogue = (more = ''): void =>
  writeFileSync(
    path('config/vmctl/images.kdl'),
    `publisher "acme" {
  title "Acme"
  origin "${server.origin}/acme"
  user "acme"
  arch x86_64="amd64" aarch64="arm64"
  index "builds/" find=#"(?<build>\\d{8})(?=/)"#
  list "builds/{build}/SHA256SUMS"
  image "builds/{build}/acme-{tag}-{arch}.qcow2"
  ${more}
  release "2"
  release "1"
}
`,
  )

const signature = (): string =>
  `signature "detached" at="builds/{build}/SHA256SUMS.gpg" key-url="https://127.0.0.1:1/none"\n key "${key.fingerprint}"`

const publish = async (build: string, content: Buffer): Promise<void> => {
  const arm = 'a'.repeat(64)
  const list = ['1', '2'].map((tag) => `${digestOf(content)}  acme-${tag}-amd64.qcow2\n${arm}  acme-${tag}-arm64.qcow2\n`).join('')
  server.files.set('/acme/builds/', {content: Buffer.from(`<a href="${build}/">${build}/</a>`)})
  server.files.set(`/acme/builds/${build}/SHA256SUMS`, {content: Buffer.from(list)})
  server.files.set(`/acme/builds/${build}/SHA256SUMS.gpg`, {content: Buffer.from(await signDetached(list, key))})
  for (const tag of ['1', '2']) server.files.set(`/acme/builds/${build}/acme-${tag}-amd64.qcow2`, {content})
}

/** A VMFile with VMs from images, each as the node that names it. */
const project = (...images: readonly string[]): void =>
  void workspace.write('VMFile.kdl', images.map((image, index) => `vm "vm${index}" {\n  ${image}\n}\n`).join(''))

const vmctl = (...words: readonly string[]) => runCommand(...words, '--file', path('VMFile.kdl'))

const emptyCache = (): void => rmSync(join(workspace.stateDirectory, 'images'), {recursive: true, force: true})

const build = (): string => {
  const [found] = /builds\/(\d{8})/.exec(lockFile()) ?? []
  return found ?? ''
}

beforeEach(async () => {
  for (const name of ['CI', 'VMCTL_OFFLINE']) delete process.env[name]
  for (const name of ['images', 'vms']) rmSync(join(workspace.stateDirectory, name), {recursive: true, force: true})
  for (const name of readdirSync(workspace.directory)) if (name.includes('VMFile')) rmSync(path(name))
  server.files.clear()
  catalogue()
  await publish('20260701', disks[0])
  project('image "acme:1"')
  server.requests.length = 0
})

describe('up', () => {
  test('locks what it fetches, tells that once, and changes nothing afterwards', async () => {
    const first = await vmctl('up')
    expect(first).toMatchObject({exitCode: 0, stderr: expect.stringMatching(/VMFile\.lock now records which builds.*Commit it/)})
    expect(lockFile()).toBe(`// Written by vmctl; commit it. \`vmctl image update\` renews it.
lock 1

image "acme:1" {
    x86_64 {
        url "${server.origin}/acme/builds/20260701/acme-1-amd64.qcow2"
        sha256 "${digestOf(disks[0])}"
        size ${disks[0].length}
        format "qcow2"
        virtual-size 67108864
        published "2026-07-01"
        trust "none"
    }
    aarch64 {
        url "${server.origin}/acme/builds/20260701/acme-1-arm64.qcow2"
        sha256 "${'a'.repeat(64)}"
        published "2026-07-01"
        trust "none"
    }
}
`)
    project('image "acme:1"', `image-url "${server.origin}/acme/builds/20260701/acme-1-amd64.qcow2"`, `image "${workspace.image}"`)
    const second = await vmctl('up')
    expect(second).toMatchObject({exitCode: 0, stderr: expect.not.stringContaining('now records')})
    expect(lockFile()).toContain(`image "${server.origin}/acme/builds/20260701/acme-1-amd64.qcow2" {\n    sha256 "${digestOf(disks[0])}"`)
    expect(lockFile()).not.toContain(workspace.image)
    const before = lockFile()
    expect((await vmctl('up')).exitCode).toBe(0)
    expect(lockFile()).toBe(before)
    expect(await lockedDigests(path('VMFile.kdl'))).toContainEqual({sha256: digestOf(disks[0])})
  })

  test('uses the locked build although its publisher has a newer one, from the cache or from its place', async () => {
    await vmctl('up')
    await publish('20260801', disks[1])
    for (const spoil of [() => undefined, emptyCache]) {
      spoil()
      expect((await vmctl('reload', '--yes')).exitCode).toBe(0)
      expect((await vmctl('image', 'pull')).exitCode).toBe(0)
      expect(JSON.parse(readFileSync(join(workspace.stateDirectory, 'vms/vm0/vm.json'), 'utf8'))).toMatchObject({
        base: {sha256: digestOf(disks[0])},
      })
    }
    expect(build()).toBe('builds/20260701')
    // What is locked here is not what the name means elsewhere.
    expect((await runCommand('image', 'pull', 'acme:1', '--json')).json).toMatchObject({sha256: digestOf(disks[1])})
  })

  test('a locked build whose place has other bytes, or nothing, is refused with what to do', async () => {
    await vmctl('up')
    emptyCache()
    const place = '/acme/builds/20260701/acme-1-amd64.qcow2'
    server.files.set(place, {content: disks[1]})
    const other = await vmctl('reload', '--yes')
    expect(other).toMatchObject({exitCode: 4, stderr: expect.stringMatching(/checksum_mismatch[^]*vmctl image update/)})
    server.files.delete(place)
    expect(await vmctl('reload', '--yes')).toMatchObject({
      exitCode: 4,
      stderr: expect.stringMatching(/download_failed[^]*vmctl image update/),
    })
  })

  test('a mirror of this user has the locked build too, and the lock names the publisher', async () => {
    writeFileSync(
      path('config/vmctl/images.kdl'),
      `${readFileSync(path('config/vmctl/images.kdl'), 'utf8')}\nmirror "acme" "${server.origin}/mirror"\n`,
    )
    const file = 'builds/20260701/acme-1-amd64.qcow2'
    server.files.set(`/mirror/${file}`, {content: disks[0]})
    await vmctl('up')
    expect(lockFile()).toContain(`url "${server.origin}/acme/${file}"`)
    emptyCache()
    server.requests.length = 0
    expect((await vmctl('image', 'pull')).exitCode).toBe(0)
    expect(server.requests.map((request) => request.path)).toEqual([`/mirror/${file}`])
    // One that has everything is the only place, also where it has not.
    writeFileSync(
      path('config/vmctl/images.kdl'),
      readFileSync(path('config/vmctl/images.kdl'), 'utf8').replace('/mirror"', '/mirror" complete=#true'),
    )
    server.files.delete(`/mirror/${file}`)
    emptyCache()
    server.requests.length = 0
    expect((await vmctl('image', 'pull')).exitCode).toBe(4)
    expect(new Set(server.requests.map((request) => request.path))).toEqual(new Set([`/mirror/${file}`]))
  })

  test('a tag of a registry is locked to the digest of its manifest, and stays to be had by that', async () => {
    const registry = fakeRepository(server)
    const put = (disk: Buffer) => registry.putArtifact([registry.putBlob(disk, 'application/octet-stream')])
    const pinned = registry.pinned(put(disks[0]).digest)
    project(`image-url "${registry.url}"`)
    await vmctl('up')
    expect(lockFile()).toContain(`image "${registry.url}" {\n    url "${pinned}"\n    sha256 "${digestOf(disks[0])}"`)
    put(disks[1])
    emptyCache()
    expect((await vmctl('reload', '--yes')).exitCode).toBe(0)
    expect((await runCommand('image', 'list', '--json')).json.images).toMatchObject([{publishedSha256: digestOf(disks[0])}])
    expect((await vmctl('image', 'update')).exitCode).toBe(0)
    expect(lockFile()).toContain(digestOf(disks[1]))
    // One that names its digest has nothing to be updated to, and nobody is asked.
    project(`image-url "${pinned}"`)
    await vmctl('image', 'lock')
    server.requests.length = 0
    expect((await vmctl('image', 'update')).stdout).toContain('unchanged')
    expect(server.requests).toEqual([])
  })

  test('another digest in the VMFile locks the image anew', async () => {
    server.files.set('/disk.qcow2', {content: disks[0]})
    project(`image-url "${server.origin}/disk.qcow2"`)
    await vmctl('up')
    server.files.set('/disk.qcow2', {content: disks[1]})
    project(`image-url "${server.origin}/disk.qcow2" sha256="${digestOf(disks[1])}"`)
    expect(await vmctl('reload', '--yes', '--frozen')).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining(`${server.origin}/disk.qcow2 has another digest in the VMFile`),
    })
    expect((await vmctl('reload', '--yes')).exitCode).toBe(0)
    expect(lockFile()).toContain(digestOf(disks[1]))
    expect(lockFile()).not.toContain(digestOf(disks[0]))
  })

  test('VMs that declare digests of one image in different algorithms agree on its lock', async () => {
    server.files.set('/disk.qcow2', {content: disks[0]})
    const url = `image-url "${server.origin}/disk.qcow2"`
    project(`${url} sha256="${digestOf(disks[0])}"`, `${url} sha512="${digestOf(disks[0], 'sha512')}"`, url)
    await vmctl('up')
    expect(lockFile().match(/^ +sha\d+/gm)).toEqual(['    sha256', '    sha512'])
    for (const words of [
      ['up', '--frozen'],
      ['image', 'lock', '--check'],
    ])
      expect((await vmctl(...words)).exitCode).toBe(0)
    project(`${url} sha256="${digestOf(disks[1])}"`, url)
    const before = lockFile()
    expect(await vmctl('reload', '--yes', '--frozen')).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('another digest in the VMFile'),
    })
    expect(lockFile()).toBe(before)
  })

  test('URLs are locked without their passwords, and another query is another image', async () => {
    server.files.set('/disk.qcow2', {content: disks[0]})
    const place = `${server.origin.replace('//', '//user:secret@')}/disk.qcow2`
    project(`image-url "${place}?token=first"`)
    await vmctl('up')
    expect(lockFile()).not.toMatch(/secret|first/)
    server.files.set('/disk.qcow2', {content: disks[1]})
    project(`image-url "${place}?token=second"`)
    expect((await vmctl('reload', '--yes')).exitCode).toBe(0)
    expect(lockFile()).toContain(digestOf(disks[1]))
  })

  test('two at once lose nothing of each other', async () => {
    project('image "acme:1"', 'image "acme:2"')
    const both = await Promise.all(['vm0', 'vm1'].map((name) => spawnCommand(['up', name, '--file', path('VMFile.kdl')])))
    expect(both.map(({exitCode}) => exitCode)).toEqual([0, 0])
    expect(lockFile().match(/^image .*$/gm)).toEqual(['image "acme:1" {', 'image "acme:2" {'])
  })

  test('each VMFile of a directory has a lock of its own', async () => {
    writeFileSync(path('other.VMFile.kdl'), 'vm "other" { image "acme:2"; }\n')
    expect((await runCommand('image', 'lock', '--file', path('other.VMFile.kdl'))).exitCode).toBe(0)
    expect(readFileSync(path('other.VMFile.kdl.lock'), 'utf8')).toContain('image "acme:2"')
    expect(existsSync(path('VMFile.lock'))).toBe(false)
  })

  test('a lock file that cannot be written is told, and the run goes on; --frozen needs one', async () => {
    // The directory can be written by root, whatever its mode; a name beside this one is too long for anybody.
    const long = path(`${'x'.repeat(236)}.kdl`)
    copyFileSync(path('VMFile.kdl'), long)
    expect(await runCommand('up', '--file', long)).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(/The builds of the images are not locked: Cannot write .*x\.kdl\.lock/),
    })
    expect((await runCommand('up', '--frozen', '--file', long)).exitCode).toBe(5)
  })

  test('killed at any act on the lock file, the old one or the new one is there, and the next run leaves nothing else', async () => {
    await vmctl('image', 'lock')
    const [old, acts] = [lockFile(), path('acts')]
    project('image "acme:1"', 'image "acme:2"')
    const run = (env: NodeJS.ProcessEnv) => spawnCommand(['image', 'lock', '--file', path('VMFile.kdl')], {env})
    expect((await run({VMCTL_ACTS: acts})).exitCode).toBe(0)
    const complete = lockFile()
    // After one act is before the next.
    const points = readFileSync(acts, 'utf8')
      .split('\n')
      .filter((line) => /^\d+ before .*(?:VMFile\.lock|sync [^.]*)$/.test(line) && line.includes(workspace.directory))
    expect(points.map((point) => point.split(' ')[2])).toEqual(['write', 'rename', 'sync'])
    for (const point of points) {
      writeFileSync(path('VMFile.lock'), old)
      expect((await run({VMCTL_KILL_AT: point.split(' ')[0]})).exitCode).toBe(-1)
      expect([old, complete]).toContain(lockFile())
      expect((await vmctl('image', 'lock')).exitCode).toBe(0)
      expect(lockFile()).toBe(complete)
      expect(readdirSync(workspace.directory).filter((name) => name.endsWith('.tmp'))).toEqual([])
    }
  })

  test('a lock that was edited wrongly is told with its place, before anything is made', async () => {
    await vmctl('up')
    writeFileSync(path('VMFile.lock'), lockFile().replace(digestOf(disks[0]), 'beef'))
    const {exitCode, stderr} = await vmctl('reload', '--yes')
    expect(exitCode).toBe(2)
    expect(stderr).toMatch(/a sha256 has 64 hexadecimal digits, found 4\n.*VMFile\.lock:7:16\n[^]*\^{6}/)
    expect((await vmctl('down')).exitCode).toBe(0)
    expect(await vmctl('validate')).toMatchObject({exitCode: 2, stderr: expect.stringContaining('VMFile.lock:7:16')})
  })

  test('what is no file is not waited for', async () => {
    execFileSync('mkfifo', [path('VMFile.lock')])
    expect(await vmctl('up')).toMatchObject({exitCode: 4, stderr: expect.stringContaining('VMFile.lock is not a file')})
  })

  test.runIf(process.getuid?.() === 0)('a lock that another user has left is not used', async () => {
    await vmctl('image', 'lock')
    chownSync(path('VMFile.lock'), 12_345, 12_345)
    expect(await vmctl('up')).toMatchObject({exitCode: 5, stderr: expect.stringContaining('belongs to another user')})
    chownSync(path('VMFile.kdl'), 12_345, 12_345)
    expect((await vmctl('up')).exitCode).toBe(0)
  })
})

describe('frozen', () => {
  test('with a warm cache nobody is asked, also when nobody could be', async () => {
    await vmctl('up')
    await publish('20260801', disks[1])
    server.requests.length = 0
    for (const words of [
      ['reload', '--yes', '--frozen'],
      ['image', 'pull', '--frozen'],
      ['up', '--frozen', '--offline'],
    ])
      expect(await vmctl(...words)).toMatchObject({exitCode: 0})
    expect(server.requests).toEqual([])
    expect(build()).toBe('builds/20260701')
  })

  test('what is not locked is refused by name before anything is made', async () => {
    await vmctl('up', 'vm0')
    project('image "acme:1"', 'image "acme:2"')
    server.requests.length = 0
    const before = lockFile()
    expect(await vmctl('up', '--frozen', '--json')).toMatchObject({
      exitCode: 5,
      json: {
        error: {
          code: 'vmctl::image::not_locked',
          message: expect.stringContaining('VMFile.lock would have to change: acme:2 is not in it'),
          images: ['acme:2'],
        },
      },
    })
    expect(server.requests).toEqual([])
    expect(lockFile()).toBe(before)
    expect((await vmctl('status', 'vm1')).exitCode).not.toBe(0)
  })

  test('without a lock file it is refused, with what to do; VMs from files need none', async () => {
    expect(await vmctl('up', '--frozen')).toMatchObject({
      exitCode: 5,
      stderr: expect.stringMatching(/there is no .*VMFile\.lock[^]*vmctl image lock/),
    })
    project(`image "${workspace.image}"`)
    expect((await vmctl('up', '--frozen')).exitCode).toBe(0)
    expect(existsSync(path('VMFile.lock'))).toBe(false)
  })

  test('CI=true: as without a lock file where there is none, frozen where there is one, unless --no-frozen', async () => {
    process.env.CI = 'true'
    expect(await vmctl('up')).toMatchObject({exitCode: 0, stderr: expect.not.stringContaining('VMFile.lock')})
    expect(existsSync(path('VMFile.lock'))).toBe(false)
    delete process.env.CI
    await vmctl('image', 'lock')
    project('image "acme:1"', 'image "acme:2"')
    process.env.CI = 'true'
    expect(await vmctl('up')).toMatchObject({exitCode: 5, stderr: expect.stringMatching(/acme:2 is not in it[^]*--no-frozen/)})
    expect(await vmctl('up', '--no-frozen')).toMatchObject({exitCode: 0})
    expect(lockFile()).toContain('image "acme:2"')
  })
})

describe('offline', () => {
  test.each([
    ['the flag', ['--offline'], {}],
    ['the variable', [], {VMCTL_OFFLINE: '1'}],
  ])('by %s nothing is fetched, and what is missing is named', async (_by, words, env) => {
    Object.assign(process.env, env)
    expect(await vmctl('up', ...words)).toMatchObject({
      exitCode: 4,
      stderr: expect.stringMatching(/offline\][^]*acme:1 is not in the cache[^]*vmctl image pull/),
    })
    expect(await runCommand('image', 'pull', `${server.origin}/x.qcow2?token=secret`, ...words)).toMatchObject({
      exitCode: 4,
      stderr: expect.stringMatching(/x\.qcow2\?token=… is not in the cache/),
    })
    expect(server.requests).toEqual([])
    delete process.env.VMCTL_OFFLINE
    await vmctl('image', 'pull')
    Object.assign(process.env, env)
    server.requests.length = 0
    for (const verb of [['image', 'pull'], ['up']]) expect((await vmctl(...verb, ...words)).exitCode).toBe(0)
    expect(server.requests).toEqual([])
  })
})

describe('image lock', () => {
  test('writes a lock without fetching a disk, completes it when the disk is here, and drops what is not used', async () => {
    expect(await vmctl('image', 'lock')).toMatchObject({
      exitCode: 0,
      stdout: `acme:1: locked to 2026-07-01 ${digestOf(disks[0]).slice(0, 12)}\n`,
    })
    expect(server.requests.map((request) => request.path)).toEqual(['/acme/builds/', '/acme/builds/20260701/SHA256SUMS'])
    expect(lockFile()).not.toContain('virtual-size')
    await vmctl('image', 'pull')
    expect(lockFile()).not.toContain('virtual-size')
    project('image "acme:1"', 'image "acme:2"')
    expect((await vmctl('image', 'lock', '--json')).json).toEqual({
      lock: path('VMFile.lock'),
      images: [
        expect.objectContaining({image: 'acme:1', architecture: 'x86_64', change: 'unchanged'}),
        expect.objectContaining({image: 'acme:2', change: 'added'}),
      ],
    })
    expect(lockFile()).toContain('virtual-size 67108864')
    project('image "acme:2"')
    expect((await vmctl('image', 'lock')).stdout).toContain('acme:1: no longer used, removed\n')
    expect(lockFile()).not.toContain('acme:1')
  })

  test('--check asks nobody and tells what is wrong', async () => {
    expect(await vmctl('image', 'lock', '--check')).toMatchObject({
      exitCode: 5,
      stderr: expect.stringMatching(/There is no .*VMFile\.lock/),
    })
    await vmctl('image', 'lock')
    server.requests.length = 0
    expect(await vmctl('image', 'lock', '--check')).toMatchObject({exitCode: 0, stdout: expect.stringContaining('acme:1: unchanged')})
    const before = lockFile()
    project('image "acme:2"')
    expect(await vmctl('image', 'lock', '--check')).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('acme:2 is not in it; acme:1 is in it, and the VMFile does not use it'),
    })
    expect(lockFile()).toBe(before)
    expect(server.requests).toEqual([])
  })

  test('an image by URL: by its digest, by its list, else by fetching it', async () => {
    const listed = digestOf(disks[0], 'sha512')
    server.files.set('/SUMS', {content: Buffer.from(`${listed}  b.qcow2\n`)})
    server.files.set('/c.qcow2', {content: disks[1]})
    project(
      `image-url "${server.origin}/a.qcow2" sha256="${'b'.repeat(64)}"`,
      `image-url "${server.origin}/b.qcow2" checksum-url="${server.origin}/SUMS"`,
      `image-url "${server.origin}/c.qcow2"`,
    )
    expect((await vmctl('image', 'lock')).exitCode).toBe(0)
    expect(server.requests.map((request) => request.path)).toEqual(['/SUMS', '/c.qcow2'])
    for (const digest of ['b'.repeat(64), listed, digestOf(disks[1])]) expect(lockFile()).toContain(digest)
    expect((await vmctl('image', 'lock', '--check')).exitCode).toBe(0)
  })
})

test('prune leaves the locked build of a project whose VMs are made from another one, and rm removes it', async () => {
  await vmctl('up')
  await publish('20260801', disks[1])
  await vmctl('image', 'update')
  await runCommand('image', 'pull', `${server.origin}/acme/builds/20260701/acme-1-amd64.qcow2`)
  const cached = async () =>
    (await runCommand('image', 'list', '--json')).json.images.map((image: {publishedSha256: string}) => image.publishedSha256)
  expect((await runCommand('image', 'prune', '--yes')).exitCode).toBe(0)
  expect(await cached()).toContain(digestOf(disks[1]))
  expect((await runCommand('image', 'rm', digestOf(disks[1]).slice(0, 12))).exitCode).toBe(0)
  writeFileSync(path('VMFile.lock'), 'no lock')
  expect(await runCommand('image', 'prune', '--yes')).toMatchObject({exitCode: 2, stderr: expect.stringContaining('VMFile.lock')})
  expect((await runCommand('disk-usage')).exitCode).toBe(0)
})

describe('image update', () => {
  test('fetches the newest build, tells the old and the new one, and plan tells who has the old one', async () => {
    await vmctl('up')
    await publish('20260801', disks[1])
    expect(await vmctl('plan')).toMatchObject({exitCode: 0, stdout: expect.not.stringContaining('VMFile.lock')})
    const [before, after] = disks.map((disk) => digestOf(disk).slice(0, 12))
    expect(await vmctl('image', 'update', 'acme:1')).toMatchObject({
      exitCode: 0,
      stdout: `acme:1: 2026-07-01 ${before} → 2026-08-01 ${after}\n`,
    })
    expect(build()).toBe('builds/20260801')
    expect(lockFile()).toContain('20260801/acme-1-arm64.qcow2')
    expect((await vmctl('plan', '--json')).json.vms[0].notices).toContainEqual(
      expect.stringMatching(/changed, needs `vmctl reload --name vm0`: .*VMFile\.lock has another build of acme:1 \(2026-08-01/),
    )
    expect((await vmctl('reload', '--yes')).exitCode).toBe(0)
    expect((await vmctl('plan', '--json')).json.vms[0].notices).toEqual(['is already running'])
    expect(await vmctl('image', 'update')).toMatchObject({exitCode: 0, stdout: `acme:1: unchanged, 2026-08-01 ${after}\n`})
  })

  test('an image by URL is fetched anew, unless its list or the VMFile says that it is the same', async () => {
    server.files.set('/disk.qcow2', {content: disks[0]})
    project(`image-url "${server.origin}/disk.qcow2"`)
    await vmctl('up')
    server.files.set('/disk.qcow2', {content: disks[1]})
    expect((await vmctl('image', 'update')).stdout).toMatch(/disk\.qcow2: .* → /)
    expect(lockFile()).toContain(digestOf(disks[1]))
    server.files.set('/SUMS', {content: Buffer.from(`${digestOf(disks[1])}  disk.qcow2\n`)})
    project(`image-url "${server.origin}/disk.qcow2" checksum-url="${server.origin}/SUMS"`)
    server.requests.length = 0
    expect((await vmctl('image', 'update')).stdout).toMatch(/disk\.qcow2: unchanged/)
    expect(server.requests.map((request) => request.path)).toEqual(['/SUMS'])
  })

  test('a signature that is gone is refused before anything is fetched, unless that is allowed', async () => {
    catalogue(signature())
    mkdirSync(join(workspace.stateDirectory, 'images/keys'), {recursive: true, mode: 0o700})
    writeFileSync(join(workspace.stateDirectory, `images/keys/${key.fingerprint}.asc`), key.armored)
    await vmctl('up')
    expect(lockFile()).toContain(`trust "signed" by="Acme" key="${key.fingerprint}"`)
    await publish('20260801', disks[1])
    catalogue()
    const before = lockFile()
    server.requests.length = 0
    expect(await vmctl('image', 'update')).toMatchObject({
      exitCode: 4,
      stderr: expect.stringMatching(/trust_fell\][^]*acme:1 was signed by Acme when it was locked[^]*--allow-weaker/),
    })
    expect(server.requests.filter((request) => request.path.endsWith('.qcow2'))).toEqual([])
    expect(lockFile()).toBe(before)
    expect((await vmctl('image', 'update', '--allow-weaker')).exitCode).toBe(0)
    expect(lockFile()).toContain('trust "none"')
    catalogue(signature())
    expect((await vmctl('image', 'update')).exitCode).toBe(0)
    expect(lockFile()).toContain('trust "signed"')
  })

  test('one that fails leaves the others, and a name that is not there is told', async () => {
    server.files.set('/disk.qcow2', {content: disks[0]})
    project('image "acme:1"', `image-url "${server.origin}/disk.qcow2"`)
    await vmctl('up')
    await publish('20260801', disks[1])
    server.files.delete('/disk.qcow2')
    expect(await vmctl('image', 'update')).toMatchObject({exitCode: 4, stderr: expect.stringContaining('1 of 2 images failed')})
    expect(lockFile()).toContain('20260801')
    expect(lockFile()).toContain(`image "${server.origin}/disk.qcow2"`)
    expect(await vmctl('image', 'update', 'acme:3')).toMatchObject({exitCode: 3, stderr: expect.stringContaining('acme:3')})
  })
})

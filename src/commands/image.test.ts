import {execFileSync} from 'node:child_process'
import {chmodSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'

import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest'

import {digestOf} from '../../test/support/images.ts'
import {type ImageServer, startImageServer} from '../../test/support/image-server.ts'
import {makeWorkspace, runCommand, type Workspace} from '../../test/support/run-command.ts'

let workspace: Workspace
let server: ImageServer
let content: Buffer
beforeAll(async () => {
  workspace = makeWorkspace()
  server = await startImageServer()
  content = readFileSync(workspace.image)
  server.files.set('/disk.qcow2', {content})
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  workspace[Symbol.dispose]()
})
beforeEach(() => rmSync(join(workspace.stateDirectory, 'images'), {recursive: true, force: true}))

const pull = (...more: readonly string[]) => runCommand('image', 'pull', `${server.origin}/disk.qcow2`, ...more)

test('pull, list, inspect, rm in text', async () => {
  expect((await runCommand('image', 'list')).stdout).toBe('No cached images. `vmctl image pull debian:12` fetches one.\n')
  const pulled = await pull()
  expect(pulled.exitCode).toBe(0)
  const path = /^Image cached at: (.*)\n$/.exec(pulled.stdout)?.[1] ?? ''
  expect(readFileSync(path)).toEqual(content)
  expect((await runCommand('image', 'list')).stdout).toMatch(new RegExp(`^NAME +SIZE +TRUST +PATH\ndisk\\.qcow2 +.*KB +none +${path}\n$`))
  expect((await runCommand('image', 'inspect', path)).stdout).toMatch(
    new RegExp(`^Format: qcow2\nPath:   ${path}\nSize:   16\\.0 MB \\(.* on disk\\)\n$`),
  )
  expect(await runCommand('image', 'rm', 'disk.qcow2')).toMatchObject({exitCode: 0, stdout: 'disk.qcow2: removed\n'})
  expect((await runCommand('image', 'list', '--json')).json).toEqual({images: []})
})

test('the same in JSON, under a name', async () => {
  const digest = digestOf(content)
  const pulled = await pull('--name', 'mine', '--sha256', digest.toUpperCase(), '--json')
  expect(pulled).toMatchObject({
    exitCode: 0,
    stderr: expect.stringMatching(
      /^(?:\[ *\d+\.\ds\] disk\.qcow2: \d+ % of .*\n)*\[ *\d+\.\ds\] disk\.qcow2: .* KB in .* s, verified by its sha256\n$/,
    ),
  })
  expect(pulled.json).toEqual({path: expect.any(String), format: 'qcow2', virtualSizeBytes: 16 * 2 ** 20, sha256: digest})
  expect((await runCommand('image', 'list', '--json')).json.images).toEqual([
    expect.objectContaining({name: 'mine', path: pulled.json.path}),
  ])
  expect((await runCommand('image', 'inspect', workspace.image, '--json')).json).toMatchObject({
    format: 'qcow2',
    virtualSizeBytes: 16 * 2 ** 20,
  })
  expect((await runCommand('image', 'rm', 'mine', '--json')).json.removed).toEqual([expect.objectContaining({name: 'mine'})])
})

test('failures by kind', async () => {
  expect(await pull('--sha256', '0'.repeat(64))).toMatchObject({
    exitCode: 4,
    stdout: '',
    stderr: expect.stringContaining('error[vmctl::image::checksum_mismatch]'),
  })
  expect(await runCommand('image', 'pull', `${server.origin}/missing`, '--json')).toMatchObject({
    exitCode: 4,
    stderr: '',
    json: {error: {code: 'vmctl::image::download_failed'}},
  })
  expect((await runCommand('image', 'list', '--json')).json).toEqual({images: []})
  expect(await runCommand('image', 'rm', 'no-such-image')).toMatchObject({exitCode: 3})
  expect(await runCommand('image', 'inspect', '/no/such/file')).toMatchObject({exitCode: 3})
})

test('an image that a VM uses stays', async () => {
  await runCommand('create', '--name', 'web', '--image-url', `${server.origin}/disk.qcow2`)
  const refused = await runCommand('image', 'rm', 'disk.qcow2')
  expect(refused).toMatchObject({exitCode: 5, stderr: expect.stringContaining('error[vmctl::image::in_use]')})
  expect(refused.stderr).toContain('web')
  await runCommand('destroy', 'web')
  expect(await runCommand('image', 'rm', 'disk.qcow2')).toMatchObject({exitCode: 0})
})

test('an image stays that only the disk of a VM names, because its record is damaged', async () => {
  await runCommand('create', '--name', 'web', '--image-url', `${server.origin}/disk.qcow2`)
  const directory = join(workspace.stateDirectory, 'vms', 'web')
  const [image] = (await runCommand('image', 'list', '--json')).json.images
  const overlay = join(directory, 'overlay.qcow2')
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image.path, overlay])
  writeFileSync(join(directory, 'vm.json'), '{"schema": 1, ')
  expect(await runCommand('image', 'rm', 'disk.qcow2', '--json')).toMatchObject({
    exitCode: 5,
    json: {error: {code: 'vmctl::image::in_use'}},
  })
  writeFileSync(overlay, 'damaged, too')
  expect(await runCommand('image', 'rm', 'disk.qcow2', '--json')).toMatchObject({
    exitCode: 5,
    json: {error: {code: 'vmctl::vm::record_damaged', vm: 'web'}},
  })
  expect(readFileSync(image.path)).toEqual(content)
  await runCommand('destroy', 'web')
  expect(await runCommand('image', 'rm', 'disk.qcow2')).toMatchObject({exitCode: 0})
})

const requests = (): number => server.requests.length

test('pull of a path, of an alias that is none, and of all images of a VMFile, each once', async () => {
  const local = await runCommand('image', 'pull', workspace.image)
  expect(local).toMatchObject({exitCode: 0, stdout: `Image used in place: ${workspace.image} (qcow2)\n`})
  expect(await runCommand('image', 'pull', 'debain:12')).toMatchObject({
    exitCode: 3,
    stderr: expect.stringContaining('Did you mean "debian:12"?'),
  })
  const file = workspace.write(
    'VMFile.kdl',
    ['a', 'b'].map((name) => `vm "${name}" { image-url "${server.origin}/disk.qcow2" insecure=#true; }\n`).join('') +
      `vm "c" { image "base.qcow2"; }\n`,
  )
  const {json, exitCode} = await runCommand('image', 'pull', '--file', file, '--json')
  expect(exitCode).toBe(0)
  expect(json.images.map(({format}: {format: string}) => format)).toEqual(['qcow2', 'qcow2'])
  expect((await runCommand('image', 'list', '--json')).json.images).toHaveLength(1)
})

test('pull of all images of a VMFile: a failure of one does not stop the others, and the status is that of one', async () => {
  const vm = (name: string, path: string): string => `vm "${name}" { image-url "${server.origin}/${path}" insecure=#true; }\n`
  const pullAll = (...paths: readonly string[]) => {
    const text = paths.map((path, index) => vm(`vm${index}`, path)).join('')
    return runCommand('image', 'pull', '--file', workspace.write('VMFile.kdl', text), '--json')
  }
  expect((await pullAll('gone')).json.error.code).toBe('vmctl::image::download_failed')
  const {json, exitCode, stderr} = await pullAll('gone', 'disk.qcow2', 'lost')
  expect(exitCode).toBe(4)
  expect(json.error).toMatchObject({
    code: 'vmctl::images::failed',
    message: `2 of 3 images failed: ${server.origin}/gone, ${server.origin}/lost.`,
    images: [{format: 'qcow2'}],
  })
  expect(stderr).not.toContain('error[')
  const told = await runCommand('image', 'pull', '--file', join(workspace.directory, 'VMFile.kdl'))
  expect(told).toMatchObject({exitCode: 4})
  expect(told.stderr.match(/error\[vmctl::image::download_failed\]/g)).toHaveLength(2)
})

test('pull --force fetches what is there already, and keeps it when that fails', async () => {
  await pull()
  const before = requests()
  await pull()
  expect(requests()).toBe(before)
  expect(await pull('--force')).toMatchObject({exitCode: 0})
  expect(requests()).toBeGreaterThan(before)
  expect(await pull('--force', '--sha256', '0'.repeat(64))).toMatchObject({exitCode: 4})
  expect(await runCommand('image', 'verify')).toMatchObject({exitCode: 0, stdout: 'disk.qcow2: OK\n'})
})

test('a byte that has changed in the cache is noticed at the next use, and by verify; a pull repairs it', async () => {
  const {path} = (await pull('--json')).json
  const damaged = Buffer.from(content)
  damaged[content.length - 1] = (content.at(-1) ?? 0) ^ 1
  chmodSync(path, 0o600)
  writeFileSync(path, damaged)
  const checked = await runCommand('image', 'verify', '--json')
  expect(checked).toMatchObject({
    exitCode: 4,
    json: {error: {code: 'vmctl::image::checksum_mismatch', images: [{name: 'disk.qcow2', path}]}},
  })
  expect(await runCommand('image', 'verify', 'other')).toMatchObject({exitCode: 3})
  const before = requests()
  expect(await pull()).toMatchObject({exitCode: 0})
  expect(requests()).toBeGreaterThan(before)
  expect(readFileSync(path)).toEqual(content)
  expect(await runCommand('image', 'verify')).toMatchObject({exitCode: 0})
})

test('a file that was only touched is read once and used', async () => {
  const {path} = (await pull('--json')).json
  const before = requests()
  utimesSync(path, new Date(), new Date())
  expect((await pull('--json')).json.path).toBe(path)
  expect(requests()).toBe(before)
})

test('the images that have a name', async () => {
  const all = (await runCommand('image', 'search')).stdout
  expect(all).toMatch(/^NAME +TAGS +TRUST +MAINTAINED UNTIL +ARCH\n/)
  expect(all).toMatch(/\ndebian:12 +bookworm +checksum +2028-06-30 +x86_64, aarch64, ppc64le\n/)
  expect(all).toMatch(/\nfedora:44 +latest +signed +.* x86_64, aarch64\n/)
  expect(all).toMatch(/\ndebian:11 .* 2026-08-31 \(ended\) /)
  expect((await runCommand('image', 'list', '--available')).stdout).toBe(all)
  const names = async (text: string): Promise<string[]> =>
    (await runCommand('image', 'search', text, '--json')).json.images.map(({name}: {name: string}) => name)
  expect(await names('debian:bookworm')).toEqual(['debian:12'])
  expect(await names('AlmaLinux')).toEqual(['almalinux:10', 'almalinux:9', 'almalinux:10-x86-64-v2'])
  expect(await names('noble')).toEqual(['ubuntu:24.04'])
  expect((await runCommand('image', 'search', 'plan9')).stdout).toBe('No image has such a name. `vmctl image search` shows all names.\n')
  expect((await runCommand('image', 'search', 'rocky:10', '--json')).json.images).toEqual([
    {
      name: 'rocky:10',
      aliases: ['rocky'],
      title: 'Rocky Linux',
      architectures: ['x86_64', 'aarch64', 'ppc64le', 's390x'],
      firmware: ['bios', 'uefi'],
      user: 'rocky',
      init: 'systemd',
      seedReader: 'cloud-init',
      cpuLevel: 'x86-64-v3',
      trust: 'checksum',
      ends: '2035-05-31',
      hasEnded: false,
    },
  ])
})

describe('images.kdl', () => {
  const path = (): string => join(workspace.directory, 'config/vmctl/images.kdl')
  const write = (text: string): void => {
    mkdirSync(dirname(path()), {recursive: true})
    writeFileSync(path(), text)
  }
  const before = process.env.XDG_CONFIG_HOME
  beforeEach(() => void (process.env.XDG_CONFIG_HOME = join(workspace.directory, 'config')))
  afterEach(() => {
    if (before === undefined) delete process.env.XDG_CONFIG_HOME
    else process.env.XDG_CONFIG_HOME = before
    rmSync(path(), {force: true})
  })

  const acme = () => `publisher "acme" {
    title "Acme Linux"
    origin "${server.origin}/acme/"
    user "wile"
    arch x86_64="amd64"
    index "builds/" find=#"build-(?<build>\\d+)(?=/)"#
    list "builds/build-{build}/SHA256SUMS"
    image "builds/build-{build}/acme-{tag}-{arch}.qcow2"
    release "2" { alias "roadrunner"; ends "2020-01-01"; }
    release "1"
}
`

  const publishAcme = (): void => {
    write(acme())
    server.files.set('/acme/builds/', {content: Buffer.from('<a href="build-9/"><a href="build-10/">')})
    server.files.set('/acme/builds/build-10/SHA256SUMS', {content: Buffer.from(`${digestOf(content)}  acme-2-amd64.qcow2\n`)})
    server.files.set('/acme/builds/build-10/acme-2-amd64.qcow2', {content})
  }

  test('a VM is made from a name, and the next one without a request', async () => {
    publishAcme()
    expect(await runCommand('create', '--name', 'web', '--image', 'acme:roadrunner')).toMatchObject({exitCode: 0})
    const seen = server.requests.length
    expect(await runCommand('create', '--name', 'db', '--image', 'acme')).toMatchObject({exitCode: 0})
    expect(server.requests).toHaveLength(seen)
    for (const name of ['web', 'db']) {
      const record = JSON.parse(readFileSync(join(workspace.stateDirectory, 'vms', name, 'vm.json'), 'utf8'))
      expect(record.spec.image).toEqual({kind: 'name', source: 'acme:2', user: 'wile', os: 'systemd'})
      await runCommand('destroy', name)
    }
    expect(await runCommand('create', '--name', 'web', '--image', 'flatcar')).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('No VM can be made from flatcar'),
    })
  })

  test('brings a publisher, whose images are pulled, kept, verified and removed by name', async () => {
    publishAcme()
    const pulled = await runCommand('image', 'pull', 'acme')
    expect(pulled).toMatchObject({exitCode: 0, stderr: expect.stringContaining('acme:2 has not been maintained since 2020-01-01')})
    expect((await runCommand('image', 'list', '--json')).json.images).toEqual([
      expect.objectContaining({
        name: 'acme-2-amd64.qcow2',
        source: 'acme:2',
        url: `${server.origin}/acme/builds/build-10/acme-2-amd64.qcow2`,
        trust: 'none',
        publishedSha256: digestOf(content),
      }),
    ])
    expect((await runCommand('image', 'verify', 'acme:roadrunner')).stdout).toBe('acme-2-amd64.qcow2: OK\n')
    expect(await runCommand('image', 'verify', 'acme', '--all')).toMatchObject({exitCode: 2})
    expect(await runCommand('image', 'rm', 'acme')).toMatchObject({exitCode: 0})
    expect(await runCommand('image', 'pull', 'acme:1')).toMatchObject({exitCode: 4, stderr: expect.stringContaining('lists no sha256')})
    expect(await runCommand('image', 'pull', 'acme', '--arch', 'aarch64')).toMatchObject({exitCode: 3})
    expect(await runCommand('image', 'pull', 'acme', '--checksum-url', 'https://x.org/y')).toMatchObject({exitCode: 2})
  })

  test('replaces a publisher of vmctl', async () => {
    write(acme().replace('"acme"', '"debian"'))
    expect((await runCommand('image', 'search', 'debian', '--json')).json.images).toMatchObject([{name: 'debian:2'}, {name: 'debian:1'}])
  })

  test('with mistakes is refused, each with its place', async () => {
    write(`publisher "acme" {
    origin "ftp://x.org"
    user "wile"
    arch x86="amd64"
    list "/SHA256SUMS" pick="("
    image "{build}/disk.qcow2"
    signature "detached" key-url="https://x.org/key"
    release "1" { ends "soon"; key "1A2B3C4D"; }
    release "1"
}
mirror "plan9" "https://x.org"
`)
    const {exitCode, stderr} = await runCommand('image', 'search')
    expect(exitCode).toBe(2)
    expect(stderr).toContain(`${path()}:2:12`)
    expect(stderr).toMatch(/ \| +key-url="https|\^/)
    for (const told of [
      '"ftp://x.org" is not a valid URL',
      'a processor is one of x86_64',
      '"/SHA256SUMS" is not a valid path',
      'this is not a regular expression',
      'nothing says what {build} is',
      'it is not said where the signature is',
      'expected a date, found the text "soon"',
      '"1A2B3C4D" is not a fingerprint',
      'there are two releases "1"',
      'there is no publisher "plan9"',
    ])
      expect(stderr).toContain(told)
  })

  test('without what a publisher needs is refused', async () => {
    write('publisher "acme" {\n    signature "clearsigned" key-url="https://x.org/key"\n}\n')
    const {stderr} = await runCommand('image', 'search')
    for (const told of ['has no release', 'has no processors', 'has no list of checksums', 'it is not said where the images of "acme" are'])
      expect(stderr).toContain(told)
  })
})

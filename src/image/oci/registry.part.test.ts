import {execFileSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {request} from 'undici'
import {afterEach, beforeAll, beforeEach, expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {digestOf, makeDirectory} from '../../../test/support/images.ts'
import {makeOciLab, type OciLab} from '../../../test/support/oci-lab.ts'
import {login, type OciRegistry, startRegistry, startTokenServer} from '../../../test/support/oci-registry.ts'
import {describeUnless, missingProgram} from '../../../test/support/programs.ts'
import type {BaseImage, ImageFormat} from '../../model/vm.ts'
import {listImages} from '../manage.ts'

const missing = missingProgram('docker-registry')
const virtualSizeBytes = 64 * 2 ** 20

/** A disk that holds bytes which nobody can pack any smaller. */
const makeDisk = (directory: string, name: string, format: ImageFormat = 'qcow2', bytes = 3 * 2 ** 20): BaseImage => {
  const noise = join(directory, 'noise')
  const path = join(directory, name)
  const content = Buffer.concat([randomBytes(bytes), Buffer.alloc(virtualSizeBytes - bytes)])
  content.writeUInt16LE(0xaa55, 510)
  writeFileSync(noise, content)
  execFileSync('qemu-img', ['convert', '-q', '-f', 'raw', '-O', format, noise, path])
  return {path, format, virtualSizeBytes}
}

const contentOf = ({path}: BaseImage): string => digestOf(readFileSync(path))

const manifestOf = async (host: string, path: string): Promise<unknown> => {
  const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'
  const {body} = await request(`http://${host}/v2/${path}`, {headers: {accept}})
  return body.json()
}

describeUnless(missing)('a registry without passwords', () => {
  let registry: OciRegistry
  let lab: OciLab
  let other: OciLab
  beforeAll(async () => {
    const directory = makeDirectory()
    registry = await startRegistry(directory)
    return async () => {
      await registry[Symbol.asyncDispose]()
      rmSync(directory, {recursive: true})
    }
  })
  beforeEach(() => {
    lab = makeOciLab()
    other = makeOciLab()
  })
  afterEach(() => {
    lab[Symbol.dispose]()
    other[Symbol.dispose]()
  })

  test('what is pushed is pulled elsewhere, byte for byte, by its tag and by its digest', async () => {
    const disk = makeDisk(lab.path, 'disk.qcow2')
    const pushed = await lab.push(disk, `oci://${registry.host}/team/disk:1`)
    expect(pushed).toMatchObject({architecture: 'x86_64', sha256: digestOf(readFileSync(disk.path)), architectures: ['x86_64']})
    expect(pushed.sentBytes).toBeGreaterThan(3 * 2 ** 20)
    const image = await other.pull(pushed.image)
    expect(image).toMatchObject({format: 'qcow2', virtualSizeBytes})
    expect(contentOf(image)).toBe(pushed.sha256)
    expect((await other.pull(pushed.pinned)).path).toBe(image.path)
    const listed = await listImages(other.store)
    expect(listed.map(({name, trust}) => [name, trust])).toEqual([
      [`${registry.host}/team/disk:1`, 'none'],
      [`${registry.host}/team/disk@${pushed.pinned.split('@')[1]?.slice(0, 19)}`, 'checksum'],
    ])
    expect(readdirSync(join(lab.store.directory, 'partial'))).toEqual([])
  })

  test('the artifact says what it is', async () => {
    const pushed = await lab.push(makeDisk(lab.path, 'disk.qcow2'), `oci://${registry.host}/facts:1`, {name: 'my disk.qcow2'})
    expect(await manifestOf(registry.host, 'facts/manifests/1')).toMatchObject({
      artifactType: 'application/vnd.vmctl.disk.v1',
      config: {mediaType: 'application/vnd.oci.empty.v1+json'},
      layers: [
        {mediaType: 'application/vnd.vmctl.disk.qcow2.v1+zstd', annotations: {'org.opencontainers.image.title': 'my-disk.qcow2.zst'}},
      ],
      annotations: {
        'org.opencontainers.image.created': '2026-01-02T03:04:05Z',
        'vnd.vmctl.disk.virtual-size': `${virtualSizeBytes}`,
        'vnd.vmctl.disk.sha256': pushed.sha256,
        'vnd.vmctl.disk.architecture': 'x86_64',
      },
    })
  })

  test('a second push sends nothing, also of a disk that had to become qcow2 first, and under another tag', async () => {
    for (const format of ['qcow2', 'raw'] as const) {
      const disk = makeDisk(lab.path, `disk.${format}`, format)
      const first = await lab.push(disk, `oci://${registry.host}/twice/${format}:1`)
      expect(first.sentBytes).toBeGreaterThan(0)
      expect(await lab.push(disk, `oci://${registry.host}/twice/${format}:1`)).toEqual({...first, sentBytes: 0})
      expect(await lab.push(disk, `oci://${registry.host}/twice/${format}:2`)).toMatchObject({sentBytes: 0, pinned: first.pinned})
      expect((await other.pull(first.image)).format).toBe('qcow2')
    }
  })

  test('a tag keeps the disks of other processors, and each gets its own', async () => {
    const tag = `oci://${registry.host}/many:1`
    const disks = {x86_64: makeDisk(lab.path, 'a.qcow2'), aarch64: makeDisk(lab.path, 'b.qcow2'), riscv64: makeDisk(lab.path, 'c.qcow2')}
    for (const [architecture, disk] of Object.entries(disks)) await lab.push(disk, tag, {architecture: architecture as 'x86_64'})
    const renewed = makeDisk(lab.path, 'd.qcow2')
    expect((await lab.push(renewed, tag, {architecture: 'aarch64'})).architectures.toSorted()).toEqual(['aarch64', 'riscv64', 'x86_64'])
    const expected = {...disks, aarch64: renewed}
    for (const architecture of ['x86_64', 'aarch64', 'riscv64'] as const) {
      expect(contentOf(await other.pull(tag, {architecture}))).toBe(digestOf(readFileSync(expected[architecture].path)))
    }
    await expect(other.pull(tag, {architecture: 's390x'})).rejects.toMatchObject({
      code: 'vmctl::image::not_found',
      help: expect.stringContaining('arm64'),
    })
  })

  test('a tag with something else is left alone', async () => {
    const bytes = Buffer.from('{}')
    const started = await request(`http://${registry.host}/v2/foreign/blobs/uploads/`, {method: 'POST'})
    const config = `sha256:${digestOf(bytes)}`
    await request(`${String(started.headers['location'])}&digest=${config}`, {method: 'PUT', body: bytes})
    const type = 'application/vnd.oci.image.manifest.v1+json'
    const part = {mediaType: 'application/vnd.example.config', digest: config, size: 2}
    const manifest = JSON.stringify({schemaVersion: 2, mediaType: type, config: part, layers: [part]})
    await request(`http://${registry.host}/v2/foreign/manifests/1`, {method: 'PUT', body: manifest, headers: {'content-type': type}})
    const push = lab.push(makeDisk(lab.path, 'disk.qcow2'), `oci://${registry.host}/foreign:1`)
    await expect(push).rejects.toMatchObject({code: 'vmctl::image::push_failed', message: expect.stringContaining('would be lost')})
    expect(await manifestOf(registry.host, 'foreign/manifests/1')).toMatchObject({layers: [part]})
    await expect(other.pull(`oci://${registry.host}/foreign:1`)).rejects.toMatchObject({
      code: 'vmctl::image::refused',
      message: expect.stringContaining('application/vnd.example.config'),
    })
  })

  test('a push that was interrupted between two pieces goes on where it was', async () => {
    const disk = makeDisk(lab.path, 'disk.qcow2', 'qcow2', 8 * 2 ** 20)
    const target = `oci://${registry.host}/cut:1`
    const chunkBytes = 2 ** 20
    const interrupt = new AbortController()
    const cut = lab.push(disk, target, {
      chunkBytes,
      signal: interrupt.signal,
      onEvent: (event) => void (event.type === 'image.pushing' && event.sentBytes >= 4 * chunkBytes && interrupt.abort()),
    })
    await expect(cut).rejects.toThrow()
    const pushed = await lab.push(disk, target, {chunkBytes})
    expect(pushed.sentBytes).toBeLessThanOrEqual(pushed.sizeBytes - 3 * chunkBytes)
    expect(contentOf(await other.pull(target))).toBe(pushed.sha256)
  })

  test('what is not there is told so', async () => {
    await expect(lab.pull(`oci://${registry.host}/nothing:1`)).rejects.toMatchObject({code: 'vmctl::image::not_found', exit: 3})
  })
})

describeUnless(missing)('a registry with passwords', () => {
  let lab: OciLab
  beforeEach(() => {
    lab = makeOciLab()
  })
  afterEach(() => lab[Symbol.dispose]())

  const config = (content: object): void => {
    mkdirSync(join(lab.path, '.docker'), {recursive: true})
    writeFileSync(join(lab.path, '.docker', 'config.json'), JSON.stringify(content))
  }
  const pair = (password: string): {auth: string} => ({auth: Buffer.from(`${login.user}:${password}`).toString('base64')})

  test('basic: none, wrong ones and the right ones', async () => {
    await using registry = await startRegistry(temporaryDirectory(), 'basic')
    const disk = makeDisk(lab.path, 'disk.qcow2')
    const target = `oci://${registry.host}/private/disk:1`
    await expect(lab.pull(target)).rejects.toMatchObject({
      code: 'vmctl::registry::denied',
      message: expect.stringContaining('without credentials'),
    })
    config({auths: {[registry.host]: pair('wrong')}})
    const refused = await lab.push(disk, target).catch((error: unknown) => error)
    expect(refused).toMatchObject({code: 'vmctl::registry::denied'})
    expect(JSON.stringify([refused, String(refused), lab.events])).not.toMatch(/wrong|YW5uYT/)
    config({auths: {[registry.host]: pair(login.password)}})
    const pushed = await lab.push(disk, target)
    expect(contentOf(await lab.pull(target))).toBe(pushed.sha256)
    expect(JSON.stringify([pushed, lab.events])).not.toContain(login.password)
  })

  test('tokens: everybody pulls, and whoever may push does', async () => {
    await using tokens = await startTokenServer(lab.path)
    await using registry = await startRegistry(temporaryDirectory(), tokens)
    const disk = makeDisk(lab.path, 'disk.qcow2')
    const target = `oci://${registry.host}/team/disk:1`
    await expect(lab.push(disk, target)).rejects.toMatchObject({code: 'vmctl::registry::denied'})
    config({auths: {[registry.host]: pair(login.password)}})
    const pushed = await lab.push(disk, target)
    expect(tokens.requests.at(-1)?.url).toContain(encodeURIComponent('repository:team/disk:pull,push'))
    const stranger = makeOciLab()
    try {
      expect(contentOf(await stranger.pull(target))).toBe(pushed.sha256)
      expect(tokens.requests.at(-1)).toMatchObject({method: 'GET', authorization: undefined})
    } finally {
      stranger[Symbol.dispose]()
    }
  })

  test('tokens by an identity token, of a credential helper', async () => {
    await using tokens = await startTokenServer(lab.path)
    await using registry = await startRegistry(temporaryDirectory(), tokens)
    const helper = lab.write(
      'docker-credential-lab',
      `#!/bin/sh\nread host\necho '{"Username":"<token>","Secret":"the-identity"}'\necho "$1 $host" >>${lab.path}/asked\n`,
    )
    chmodSync(helper, 0o755)
    config({auths: {[registry.host]: {}}, credsStore: 'lab'})
    const path = process.env.PATH
    process.env.PATH = `${lab.path}:${path}`
    try {
      await lab.push(makeDisk(lab.path, 'disk.qcow2'), `oci://${registry.host}/team/disk:1`)
    } finally {
      process.env.PATH = path
    }
    expect(readFileSync(join(lab.path, 'asked'), 'utf8')).toBe(`get ${registry.host}\n`)
    expect(tokens.requests.at(-1)).toMatchObject({method: 'POST', body: expect.stringContaining('grant_type=refresh_token')})
  })
})

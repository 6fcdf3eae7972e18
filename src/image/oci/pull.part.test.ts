import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeEach, describe, expect, test} from 'vitest'

import {type FakeRepository, fakeRepository} from '../../../test/support/fake-registry.ts'
import {type ImageServer, startImageServer} from '../../../test/support/image-server.ts'
import {digestOf, makeRawDisk, through} from '../../../test/support/images.ts'
import {ensureImage} from '../cache.ts'
import {makeOciLab, type OciLab, useRegistryLab} from '../../../test/support/oci-lab.ts'

const octets = 'application/octet-stream'
const disk = makeRawDisk(300_000)
let server: ImageServer
let lab: OciLab
let registry: FakeRepository

useRegistryLab((made) => void ({server, lab, registry} = made))

const partials = (): string[] => readdirSync(join(lab.store.directory, 'partial'))
const isDisk = async (source: string): Promise<boolean> => readFileSync((await lab.pull(source)).path).equals(disk)

describe('what is a disk', () => {
  const titled = {annotations: {'org.opencontainers.image.title': 'disk.raw.zst'}}
  test.each([
    ['of vm-manager', 'application/vnd.cloudnebula.qcow2.layer.v1', disk, {}, {}],
    ['one blob of octets', octets, disk, {}, {}],
    ['of vmctl', 'application/vnd.vmctl.disk.qcow2.v1+zstd', through(disk, 'zstd'), {}, {artifactType: 'application/vnd.vmctl.disk.v1'}],
    [
      'a blob with the title of a disk',
      'application/vnd.example.any',
      through(disk, 'zstd'),
      titled,
      {artifactType: 'application/vnd.example'},
    ],
    ['gzip, by its content', octets, through(disk, 'gzip'), {}, {}],
  ])('%s', async (_, type, content, layer, manifest) => {
    registry.putArtifact([{...registry.putBlob(content, type), ...layer}], manifest)
    expect(await isDisk(registry.url)).toBe(true)
  })

  test('the one with the title, of several', async () => {
    const notes = {...registry.putBlob(Buffer.from('words'), 'text/plain'), annotations: {'org.opencontainers.image.title': 'README.md'}}
    registry.putArtifact([notes, {...registry.putBlob(disk, octets), annotations: {'org.opencontainers.image.title': 'disk.img'}}])
    expect(await isDisk(registry.url)).toBe(true)
  })

  test('the one for the processor, of an index that also has what is no disk', async () => {
    const other = registry.putArtifact([registry.putBlob(makeRawDisk(300_000, 2), octets)])
    const mine = registry.putArtifact([registry.putBlob(disk, octets)])
    const nothing = registry.putArtifact([])
    registry.putManifest({
      schemaVersion: 2,
      manifests: [
        {...nothing, platform: {architecture: 'unknown', os: 'unknown'}},
        {...other, platform: {architecture: 'x86_64', os: 'linux'}, annotations: {disktype: 'hyperv'}},
        {...other, platform: {architecture: 'arm64', os: 'linux'}},
        {...mine, platform: {architecture: 'amd64', os: 'linux'}},
      ],
    })
    expect(await isDisk(registry.url)).toBe(true)
    await expect(lab.pull(registry.url, {architecture: 'riscv64'})).rejects.toMatchObject({code: 'vmctl::image::not_found'})
  })

  test.each([
    ['Tart', /Tart/, [['application/vnd.cirruslabs.tart.disk.v2', 'x']]],
    ['a Helm chart', /Helm/, [['application/vnd.cncf.helm.chart.content.v1.tar+gzip', 'x']]],
    [
      'two disks',
      /2 disks/,
      [
        ['application/x-qemu-disk', 'x'],
        ['application/x-qemu-disk', 'y'],
      ],
    ],
    ['nothing at all', /without any content/, []],
    ['something unknown', /"application\/vnd.example"/, [['application/vnd.example', 'x']]],
  ])('refused: %s', async (_, message, layers) => {
    registry.putArtifact(layers.map(([type = '', text = '']) => registry.putBlob(Buffer.from(text), type)))
    await expect(lab.pull(registry.url)).rejects.toMatchObject({code: 'vmctl::image::refused', message: expect.stringMatching(message)})
    expect(registry.requestsOf('blobs')).toHaveLength(0)
  })

  test('one that is for another processor is told, although it is no index', async () => {
    registry.putArtifact([registry.putBlob(disk, octets)], {annotations: {'vnd.vmctl.disk.architecture': 'aarch64'}})
    await expect(lab.pull(registry.url)).rejects.toMatchObject({code: 'vmctl::image::not_found', help: expect.stringContaining('aarch64')})
    expect(await lab.digestOf(registry.url, {architecture: 'aarch64'})).toBe(digestOf(disk))
    await expect(lab.pull(registry.url)).rejects.toThrow()
  })
})

describe('digests', () => {
  test('of the manifest: the one of the reference, and the one that the registry tells', async () => {
    const layer = registry.putBlob(disk, octets)
    const {digest} = registry.putArtifact([layer])
    expect(await isDisk(registry.pinned(digest))).toBe(true)
    const other = `sha256:${'0'.repeat(64)}`
    const path = '/v2/team/disk/manifests/'
    server.files.set(`${path}${other}`, server.files.get(`${path}1`) ?? {content: disk})
    await expect(lab.pull(registry.pinned(other))).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
    registry.putArtifact([layer], {}, {headers: {'docker-content-digest': other}})
    await expect(lab.pull(registry.url)).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
  })

  test.each([
    ['other bytes', makeRawDisk(300_000, 9)],
    ['a page in its place', Buffer.from('<!DOCTYPE html><h1>Not here</h1>')],
    ['more than it should be', Buffer.concat([disk, Buffer.alloc(100_000)])],
  ])('of the disk: %s', async (_, content) => {
    const layer = registry.putBlob(disk, octets)
    server.files.set(`/v2/team/disk/blobs/${layer.digest}`, {content})
    registry.putArtifact([layer])
    await expect(lab.pull(registry.url)).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
    expect(partials()).toEqual([])
  })

  test('one that the user declares, which may be of a disk that the tag has left', async () => {
    registry.putArtifact([registry.putBlob(disk, octets)])
    await expect(lab.pull(registry.url, {sha256: '1'.repeat(64)})).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
    registry.putArtifact([registry.putBlob(makeRawDisk(300_000, 2), octets)])
    expect(await lab.digestOf(registry.url, {sha256: digestOf(disk)})).toBe(digestOf(disk))
  })
})

test('a tag that has moved is followed by those who ask, and only fetched when it is another disk', async () => {
  const refresh = (source: string) => ensureImage(lab.store, {kind: 'url', source}, {signal: new AbortController().signal, refresh: true})
  const {digest} = registry.putArtifact([registry.putBlob(disk, octets)])
  const first = await lab.pull(registry.url)
  expect((await refresh(registry.url)).path).toBe(first.path)
  expect(registry.requestsOf('blobs')).toHaveLength(1)
  registry.putArtifact([registry.putBlob(makeRawDisk(300_000, 2), octets)])
  expect((await lab.pull(registry.url)).path).toBe(first.path)
  expect((await refresh(registry.url)).path).not.toBe(first.path)
  await lab.pull(registry.pinned(digest))
  const asked = server.requests.length
  await refresh(registry.pinned(digest))
  expect(server.requests).toHaveLength(asked)
})

test.each(['file:///etc/passwd', 'nonsense', ''])('tokens are not asked for at %j', async (realm) => {
  registry.putArtifact([], {}, {statuses: [401, 401], headers: {'www-authenticate': `Bearer realm="${realm}"`}})
  await expect(lab.pull(registry.url)).rejects.toMatchObject({code: 'vmctl::registry::denied'})
})

describe('a registry in trouble', () => {
  test.each([1, 512, 65_536, 150_000, 299_999])('cuts after %i bytes, and is resumed', async (offset) => {
    registry.putArtifact([registry.putBlob(disk, octets, {cutAfter: [offset]})])
    expect(await isDisk(registry.url)).toBe(true)
    const sent = registry.requestsOf('blobs').reduce((sum, {sentBytes}) => sum + sentBytes, 0)
    expect(sent).toBeLessThanOrEqual(disk.length + 131_072)
  })

  test.each([
    [403, {}, 'vmctl::registry::denied'],
    [401, {}, 'vmctl::registry::denied'],
    [404, {}, 'vmctl::image::not_found'],
    [500, {}, 'vmctl::image::download_failed'],
    [429, {'retry-after': '999'}, 'vmctl::image::download_failed'],
  ])('status %i', async (status, headers, code) => {
    registry.putArtifact([registry.putBlob(disk, octets)], {}, {statuses: Array.from({length: 20}, () => status), headers})
    await expect(lab.pull(registry.url)).rejects.toMatchObject({code})
  })

  test('waits as long as it is told to', async () => {
    registry.putArtifact([registry.putBlob(disk, octets, {statuses: [429], headers: {'retry-after': '0'}})], {}, {statuses: [503]})
    expect(await isDisk(registry.url)).toBe(true)
    expect(lab.events.filter(({type}) => type === 'image.retrying')).toHaveLength(2)
  })

  test('a page with status 200 in place of a manifest', async () => {
    server.files.set('/v2/team/disk/manifests/1', {content: Buffer.from('<html><h1>Log in</h1></html>')})
    await expect(lab.pull(registry.url)).rejects.toMatchObject({
      code: 'vmctl::image::download_failed',
      message: expect.stringContaining('a web page'),
    })
  })
})

describe('credentials', () => {
  const auth = Buffer.from('anna:correct horse').toString('base64')
  beforeEach(() => {
    const auths = {[server.origin.replace('http://', '')]: {auth}}
    lab.write('auth.json', JSON.stringify({auths}))
  })

  test('go to the registry, and not to where it redirects', async () => {
    await using elsewhere = await startImageServer()
    elsewhere.files.set('/disk', {content: disk})
    const challenge = {statuses: [401], headers: {'www-authenticate': 'Basic realm="x"'}}
    registry.putArtifact([registry.putBlob(disk, octets, {redirectsTo: `${elsewhere.origin}/disk`})], {}, challenge)
    expect(await isDisk(registry.url)).toBe(true)
    expect(registry.requestsOf('manifests').map(({headers}) => headers.authorization)).toEqual([undefined, `Basic ${auth}`])
    expect(registry.requestsOf('blobs').map(({headers}) => headers.authorization)).toEqual([`Basic ${auth}`])
    expect(elsewhere.requests.map(({headers}) => headers.authorization)).toEqual([undefined])
  })

  test('a token that ends in the middle of a download is renewed', async () => {
    server.files.set('/token', {content: Buffer.from('{"access_token":"second"}')})
    const headers = {'www-authenticate': `Bearer realm="${server.origin}/token",service="x"`}
    registry.putArtifact([registry.putBlob(disk, octets, {cutAfter: [100_000], statuses: [200, 401], headers})])
    expect(await isDisk(registry.url)).toBe(true)
    const blobs = registry.requestsOf('blobs')
    expect(blobs.map(({headers: {authorization}, sentBytes}) => [authorization, sentBytes > 0])).toEqual([
      [undefined, true],
      [undefined, false],
      ['Bearer second', true],
    ])
    const [asked] = server.requests.filter(({path}) => path === '/token')
    expect(asked?.headers.authorization).toBe(`Basic ${auth}`)
  })
})

test('a mirror of the registry gives the disk, and the registry when that fails', async () => {
  await using mirror = await startImageServer()
  registry.putArtifact([registry.putBlob(disk, octets)])
  const host = server.origin.replace('http://', '')
  const copy = fakeRepository(mirror, 'prefix/team/disk')
  copy.putBlob(disk, octets)
  for (const isThere of [true, false]) {
    if (!isThere) mirror.files.clear()
    const far = makeOciLab({mirrors: [{publisher: host, origin: `${mirror.origin}/prefix`, isComplete: false}]})
    try {
      expect(await far.digestOf(registry.url)).toBe(digestOf(disk))
    } finally {
      far[Symbol.dispose]()
    }
    expect(registry.requestsOf('blobs')).toHaveLength(isThere ? 0 : 1)
  }
  expect(copy.requestsOf('blobs')).toHaveLength(2)
})

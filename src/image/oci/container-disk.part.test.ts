import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {type Header, pack} from 'tar-stream'
import {describe, expect, test} from 'vitest'

import type {FakeRepository} from '../../../test/support/fake-registry.ts'
import {digestOf, makeRawDisk, through} from '../../../test/support/images.ts'
import {ensureImage} from '../cache.ts'
import {type OciLab, useRegistryLab} from '../../../test/support/oci-lab.ts'

const layerType = 'application/vnd.docker.image.rootfs.diff.tar.gzip'
const disk = makeRawDisk(300_000)
let lab: OciLab
let registry: FakeRepository

useRegistryLab((made) => void ({lab, registry} = made), 'containerdisks/debian')

type Entry = readonly [header: Partial<Header> & {readonly name: string}, content?: Buffer]

const tarOf = async (...entries: readonly Entry[]): Promise<Buffer> => {
  const tar = pack()
  for (const [header, content = Buffer.alloc(0)] of entries) tar.entry(header, content)
  tar.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of tar as unknown as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const folder: Entry = [{name: 'disk/', type: 'directory'}]
const image: Entry = [{name: 'disk/disk.img'}, disk]

const pullLayer = (content: Buffer, type = layerType) => {
  registry.putContainer([registry.putBlob(content, type)])
  return lab.pull(registry.url)
}

/** No disk, and nothing left over that would be taken for one. */
const leftOver = (): string[] => [
  ...readdirSync(lab.store.directory).filter((name) => name.startsWith('sha256-')),
  ...readdirSync(join(lab.store.directory, 'partial')).filter((name) => !/^[0-9a-f]{64}(?:\.json)?$/.test(name)),
]

describe('the disk of a container disk', () => {
  test.each([
    ['gzip', layerType, (tar: Buffer) => through(tar, 'gzip')],
    ['zstd', 'application/vnd.oci.image.layer.v1.tar+zstd', (tar: Buffer) => through(tar, 'zstd')],
    ['nothing', 'application/vnd.oci.image.layer.v1.tar', (tar: Buffer) => tar],
  ])('packed with %s', async (_, type, compress) => {
    const found = await pullLayer(compress(await tarOf(folder, image)), type)
    expect(readFileSync(found.path).equals(disk)).toBe(true)
    expect(leftOver()).toEqual([`sha256-${digestOf(disk)}.raw`])
  })

  test('under another name, with small files around it, and itself packed', async () => {
    const tar = await tarOf([{name: './etc/passwd'}, Buffer.from('root')], [{name: './disk/debian.raw.zst'}, through(disk, 'zstd')])
    expect(readFileSync((await pullLayer(through(tar, 'gzip'))).path).equals(disk)).toBe(true)
  })

  test('a declared digest is that of the disk', async () => {
    registry.putContainer([registry.putBlob(through(await tarOf(image), 'gzip'), layerType)])
    await expect(lab.pull(registry.url, {sha256: '1'.repeat(64)})).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
    expect(await lab.digestOf(registry.url, {sha256: digestOf(disk)})).toBe(digestOf(disk))
  })

  test('is fetched again when its tag has moved, by those who ask', async () => {
    const put = async (content: Buffer) =>
      registry.putContainer([registry.putBlob(through(await tarOf([{name: 'disk/disk.img'}, content]), 'gzip'), layerType)])
    const refresh = async (): Promise<string> => {
      const wanted = {kind: 'url', source: registry.url} as const
      return (await ensureImage(lab.store, wanted, {signal: new AbortController().signal, refresh: true})).path
    }
    await put(disk)
    const first = await refresh()
    const fetched = registry.requestsOf('blobs').length
    expect(await refresh()).toBe(first)
    // The configuration alone.
    expect(registry.requestsOf('blobs')).toHaveLength(fetched + 1)
    await put(makeRawDisk(300_000, 2))
    expect(await refresh()).not.toBe(first)
  })

  test('comes although the connection breaks twice', async () => {
    const layer = through(await tarOf(image), 'gzip')
    registry.putContainer([registry.putBlob(layer, layerType, {cutAfter: [100_000, 50]})])
    expect(await lab.digestOf(registry.url)).toBe(digestOf(disk))
    expect(registry.requestsOf(`blobs/sha256:${digestOf(layer)}`)).toHaveLength(3)
  })
})

const huge = async (): Promise<Buffer> => {
  const tar = await tarOf(image)
  // 8 GiB and a little, as octal digits; the checksum of the header follows.
  tar.write('77777777777', 124)
  const sum = tar.subarray(0, 512).reduce((all, byte, at) => all + (at >= 148 && at < 156 ? 0x20 : byte), 0)
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return tar
}

describe('a hostile layer is refused', () => {
  const link = (type: 'link' | 'symlink', name: string): Entry => [{name, type, linkname: '/etc/shadow'}]
  test.each<[string, RegExp, () => Promise<Buffer>]>([
    ['an absolute name', /it is absolute/, () => tarOf([{name: '/disk/disk.img'}, disk])],
    ['a name that leads upwards', /leads upwards/, () => tarOf([{name: 'disk/../../disk.img'}, disk])],
    ['an absolute name beside the disk', /it is absolute/, () => tarOf(image, [{name: '/etc/cron.d/x'}, Buffer.from('x')])],
    ['a symbolic link as the disk', /a link to "\/etc\/shadow"/, () => tarOf(link('symlink', 'disk/disk.img'))],
    ['a hard link as the disk', /a link to/, () => tarOf(link('link', 'disk/disk.img'))],
    ['a link in place of the directory', /a link to/, () => tarOf(link('symlink', 'disk'), image)],
    ['two disks', /two disks, "disk\/disk.img" and "disk\/other.img"/, () => tarOf(image, [{name: 'disk/other.img'}, disk])],
    ['the disk twice', /two disks/, () => tarOf(image, image)],
    ['no disk', /without a disk/, () => tarOf([{name: 'bin/sh'}, Buffer.from('x')])],
    ['a disk in a directory below', /without a disk/, () => tarOf([{name: 'disk/deep/disk.img'}, disk])],
    ['nothing', /without a disk/, () => tarOf()],
    ['a device', /a block device/, () => tarOf([{name: 'disk/disk.img', type: 'block-device'}])],
    ['a pipe', /a pipe/, () => tarOf([{name: 'disk/disk.img', type: 'fifo'}])],
    ['a size that nothing follows', /middle of an entry/, huge],
    ['a cut archive', /middle of an entry/, async () => (await tarOf(image)).subarray(0, 100_000)],
    ['something after the end', /after its end/, async () => Buffer.concat([await tarOf(image), Buffer.from('garbage')])],
    ['a sparse file', /sparse/, () => tarOf([{name: 'disk/disk.img', pax: {'GNU.sparse.major': '1'}}, disk])],
    ['a large file that is no disk', /large files/, () => tarOf([{name: 'usr/lib/x'}, Buffer.alloc(65 * 2 ** 20)], image)],
    ['no archive at all', /number in a header/, async () => Buffer.alloc(1024, 'x')],
  ])('%s', async (_, message, tar) => {
    await expect(pullLayer(through(await tar(), 'gzip', '-1'))).rejects.toMatchObject({
      code: 'vmctl::image::refused',
      message: expect.stringMatching(message),
    })
    expect(leftOver()).toEqual([])
  })

  test('gzip that is damaged or cut', async () => {
    const layer = through(await tarOf(image), 'gzip')
    await expect(pullLayer(layer.subarray(0, layer.length - 100))).rejects.toMatchObject({code: 'vmctl::image::decompression_failed'})
    expect(leftOver()).toEqual([])
  })
})

describe('a container image that is no container disk is refused before its layers are fetched', () => {
  test.each([
    ['one that starts a program', /starts "bash"/, {config: {Cmd: ['bash']}}],
    ['a bootable container', /bootc/, {config: {Labels: {'containers.bootc': '1'}, Cmd: ['/sbin/init']}}],
  ])('%s', async (_, message, config) => {
    const layer = registry.putBlob(Buffer.from('x'), layerType)
    registry.putContainer([layer], config)
    await expect(lab.pull(registry.url)).rejects.toMatchObject({code: 'vmctl::image::refused', message: expect.stringMatching(message)})
    expect(registry.requestsOf(`blobs/${layer.digest}`)).toEqual([])
  })

  test('one of several layers', async () => {
    const layers = ['a', 'b'].map((text) => registry.putBlob(Buffer.from(text), layerType))
    registry.putContainer(layers)
    await expect(lab.pull(registry.url)).rejects.toMatchObject({message: expect.stringContaining('of 2 layers')})
  })

  test('one for another processor', async () => {
    registry.putContainer([registry.putBlob(through(await tarOf(image), 'gzip'), layerType)], {architecture: 'arm64', config: {}})
    await expect(lab.pull(registry.url)).rejects.toMatchObject({code: 'vmctl::image::not_found'})
    expect(await lab.digestOf(registry.url, {architecture: 'aarch64'})).toBe(digestOf(disk))
  })
})

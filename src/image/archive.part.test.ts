import {execFileSync} from 'node:child_process'
import {copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {startImageServer} from '../../test/support/image-server.ts'
import {digestOf} from '../../test/support/images.ts'
import {makeDisk} from '../../test/support/vmctl-process.ts'
import {ensureImage} from './cache.ts'
import {createHttpSource} from './http.ts'
import type {ImageStore} from './image-store.ts'

interface Lab {
  readonly root: string
  readonly store: ImageStore
  /** The disk that the archives hold. */
  readonly disk: string
  readonly notices: string[]
  ensure(source: string, kind?: 'file' | 'url'): ReturnType<typeof ensureImage>
}

const makeLab = (): Lab => {
  const root = temporaryDirectory()
  const notices: string[] = []
  const store = {directory: join(root, 'images'), lockDirectory: join(root, 'locks'), sources: [createHttpSource()]}
  return {
    root,
    store,
    notices,
    disk: makeDisk(join(root, 'disk.qcow2'), '16M'),
    ensure: (source, kind = 'file') =>
      ensureImage(store, {kind, source}, {signal: AbortSignal.timeout(60_000), onNotice: (message) => void notices.push(message)}),
  }
}

/** Packs files, in this order. */
const packed = (
  lab: Lab,
  archive: string,
  files: Readonly<Record<string, string | {readonly copy: string}>>,
  flags: readonly string[] = [],
): string => {
  const directory = join(lab.root, `${archive}.d`)
  mkdirSync(directory)
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(directory, name, '..'), {recursive: true})
    if (typeof content === 'string') writeFileSync(join(directory, name), content)
    else copyFileSync(content.copy, join(directory, name))
  }
  const path = join(lab.root, archive)
  execFileSync('tar', [
    ...flags,
    '-caf',
    path.replace(/\.box$/, '.tar.gz'),
    '-C',
    directory,
    ...Object.keys(files).map((name) => `./${name}`),
  ])
  if (archive.endsWith('.box')) execFileSync('mv', [path.replace(/\.box$/, '.tar.gz'), path])
  return path
}

const libvirt = (more: object = {}): string => JSON.stringify({provider: 'libvirt', format: 'qcow2', virtual_size: 1, ...more})

describe('the disk of an archive', () => {
  test.each<readonly [string, (lab: Lab) => string]>([
    ['a box of version 1', (lab) => packed(lab, 'a.box', {'metadata.json': libvirt(), Vagrantfile: '', 'box.img': {copy: lab.disk}})],
    ['what describes it at the end', (lab) => packed(lab, 'a.box', {'box.img': {copy: lab.disk}, 'metadata.json': libvirt()})],
    [
      'a box of version 2',
      (lab) => packed(lab, 'a.box', {'metadata.json': libvirt({disks: [{path: 'x.img'}]}), 'x.img': {copy: lab.disk}}),
    ],
    ['an image of Incus', (lab) => packed(lab, 'a.tar.xz', {'metadata.yaml': 'architecture: x86_64\n', 'rootfs.img': {copy: lab.disk}})],
    ['a single file, zstd', (lab) => packed(lab, 'a.tar.zst', {'deep/disk.raw': {copy: lab.disk}})],
    ['no compression', (lab) => packed(lab, 'a.tar', {'metadata.json': libvirt(), 'box.img': {copy: lab.disk}})],
    ['the format of pax', (lab) => packed(lab, 'a.tar', {'disk.raw': {copy: lab.disk}}, ['--format=pax'])],
  ])('%s', async (_what, make) => {
    const lab = makeLab()
    const archive = make(lab)
    const image = await lab.ensure(archive)
    expect(readFileSync(image.path).equals(readFileSync(lab.disk))).toBe(true)
    expect(image).toMatchObject({format: 'qcow2', virtualSizeBytes: 16 * 2 ** 20})
    expect(readdirSync(join(lab.store.directory, 'partial'))).toEqual([])
    expect((await lab.ensure(archive)).path).toBe(image.path)
  })

  test('by a URL, checked as it was published', async () => {
    const lab = makeLab()
    await using server = await startImageServer()
    const content = readFileSync(packed(lab, 'a.box', {'metadata.json': libvirt(), 'box.img': {copy: lab.disk}}))
    server.files.set('/a.box', {content})
    const reference = {kind: 'url', source: `${server.origin}/a.box`, sha256: digestOf(content)} as const
    const image = await ensureImage(lab.store, reference, {signal: AbortSignal.timeout(60_000)})
    expect(readFileSync(image.path).equals(readFileSync(lab.disk))).toBe(true)
  })

  test('with holes, as GNU tar stores them: what was not stored is zero, and stays a hole', async () => {
    const lab = makeLab()
    const raw = join(lab.root, 'holes.raw')
    execFileSync('qemu-img', ['create', '-q', '-f', 'raw', raw, '64M'])
    // 60 parts: more than a header has room for, and more than one block after it.
    for (let at = 0; at < 60; at++)
      execFileSync('dd', ['if=/dev/urandom', `of=${raw}`, 'bs=64k', 'count=1', `seek=${at * 17 + 1}`, 'conv=notrunc', 'status=none'])
    execFileSync('sfdisk', ['-q', raw], {input: 'label: dos\n,20M\n'})
    const archive = join(lab.root, 'a.tar')
    execFileSync('tar', ['--format=oldgnu', '-S', '-cf', archive, '-C', lab.root, 'holes.raw'])
    expect(statSync(archive).size).toBeLessThan(8 * 2 ** 20)
    const image = await lab.ensure(archive)
    expect(digestOf(readFileSync(image.path))).toBe(digestOf(readFileSync(raw)))
    expect(statSync(image.path).blocks * 512).toBeLessThan(8 * 2 ** 20)
  })

  test('what a box means for logging in is said', async () => {
    const lab = makeLab()
    await lab.ensure(
      packed(lab, 'a.box', {Vagrantfile: 'config.ssh.username = "alpine"\n', 'metadata.json': libvirt(), 'box.img': {copy: lab.disk}}),
    )
    expect(lab.notices).toEqual([expect.stringContaining('ssh { user "alpine"; private-key "~/.vagrant.d/insecure_private_key"; }')])
  })
})

describe('refused', () => {
  test.each<readonly [string, RegExp, (lab: Lab) => string]>([
    [
      'a box of another provider',
      /box for "virtualbox"/,
      (lab) => packed(lab, 'a.box', {'metadata.json': '{"provider":"virtualbox"}', 'box.ovf': ''}),
    ],
    [
      'a box with two disks',
      /2 disks/,
      (lab) => packed(lab, 'a.box', {'metadata.json': libvirt({disks: [{path: 'a'}, {path: 'b'}]}), a: '', b: ''}),
    ],
    ['a box without its disk', /no disk in its archive/, (lab) => packed(lab, 'a.box', {'metadata.json': libvirt(), 'other.img': 'x'})],
    ['metadata that is none', /metadata.json cannot be read/, (lab) => packed(lab, 'a.box', {'metadata.json': '{', 'box.img': 'x'})],
    ['a container', /container/, (lab) => packed(lab, 'a.tar', {'rootfs/etc/passwd': 'x', 'metadata.yaml': ''})],
    ['several files', /none says which/, (lab) => packed(lab, 'a.tar', {a: 'x', b: 'y'})],
    [
      'a disk with a backing file',
      /backing file/,
      (lab) => {
        const overlay = join(lab.root, 'overlay.qcow2')
        execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', lab.disk, overlay])
        return packed(lab, 'a.box', {'metadata.json': libvirt(), 'box.img': {copy: overlay}})
      },
    ],
    [
      'a link as the disk',
      /no disk in its archive/,
      (lab) => {
        const archive = packed(lab, 'a.tar', {'metadata.json': libvirt()})
        execFileSync('ln', ['-s', '/etc/passwd', join(lab.root, 'box.img')])
        execFileSync('tar', ['-rf', archive, '-C', lab.root, 'box.img'])
        return archive
      },
    ],
    [
      'a cut one',
      /middle of an entry/,
      (lab) => {
        const archive = packed(lab, 'a.tar', {'metadata.json': libvirt(), 'box.img': {copy: lab.disk}})
        writeFileSync(archive, readFileSync(archive).subarray(0, 20_000))
        return archive
      },
    ],
  ])('%s', async (_what, message, make) => {
    const lab = makeLab()
    await expect(lab.ensure(make(lab))).rejects.toMatchObject({code: 'vmctl::image::refused', message: expect.stringMatching(message)})
    expect(readdirSync(lab.store.directory).toSorted()).toEqual(['partial', 'refs'])
    expect(readdirSync(join(lab.store.directory, 'partial'))).toEqual([])
  })
})

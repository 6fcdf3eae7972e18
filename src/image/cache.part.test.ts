import {execFileSync} from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {basename, dirname, join} from 'node:path'

import {describe, expect, it} from 'vitest'

import {useImageLab} from '../../test/support/image-lab.ts'
import {digestOf, makeClusterBomb, makeCompressed, makeImage, makeRawDisk, through} from '../../test/support/images.ts'
import {acquireLock} from '../host/lock.ts'
import type {ImageReference} from '../model/vm.ts'
import {downloadImage, ensureImage, findImage, type ImageEvent, listImages, removeImage} from './index.ts'
import {type CacheEntry, readEntries, writeEntry} from './entries.ts'
import {imageFiles} from './image-store.ts'
import {verifyImages} from './manage.ts'
import {readClusters} from './qcow2-clusters.ts'
import {urlKey} from './url.ts'

const {signal} = new AbortController()
const never = (): never => {
  throw new Error('there is no entry')
}
const disk = makeRawDisk(300_000)
const free = {inUse: () => undefined}
const lab = useImageLab()

const url = (source: string, more: Partial<ImageReference> = {}): ImageReference => ({kind: 'url', source, ...more})
const file = (source: string, more: Partial<ImageReference> = {}): ImageReference => ({kind: 'file', source, ...more})
const ensure = async (reference: ImageReference, name?: string) => ensureImage(lab.scratch.store, reference, {signal, name})
const find = async (reference: ImageReference) => findImage(lab.scratch.store, reference)

const partials = (): string[] => readdirSync(join(lab.scratch.store.directory, 'partial'))

/** Turns a bit of a file in the cache. */
const damage = (path: string): void => {
  const content = readFileSync(path)
  content[1000] = (content[1000] ?? 0) ^ 1
  chmodSync(path, 0o600)
  writeFileSync(path, content)
}

const write = (name: string, content: Buffer): string => {
  const path = join(lab.scratch.path, name)
  mkdirSync(dirname(path), {recursive: true})
  writeFileSync(path, content)
  return path
}

describe('an image from a URL', () => {
  it('is fetched once, named by its content, and read-only', async () => {
    const reference = url(lab.serve('/disk.raw', disk))
    await expect(find(reference)).resolves.toBeUndefined()
    const image = await ensure(reference)
    expect(image).toEqual({
      path: join(lab.scratch.store.directory, `sha256-${digestOf(disk)}.raw`),
      format: 'raw',
      virtualSizeBytes: 300_032,
      sha256: digestOf(disk),
    })
    expect(statSync(image.path).mode & 0o777).toBe(0o400)
    await expect(ensure(reference)).resolves.toEqual(image)
    await expect(find(reference)).resolves.toEqual(image)
    expect(lab.server.requests).toHaveLength(1)
    expect(partials()).toEqual([])
  })

  it('does not collide with another of the same name, and shares the file of the same content', async () => {
    const other = makeRawDisk(300_000, 2)
    const images = await Promise.all([
      ensure(url(lab.serve('/a/disk.raw', disk))),
      ensure(url(lab.serve('/b/disk.raw', other))),
      ensure(url(lab.serve('/c/disk.raw', disk))),
    ])
    expect(images.map(({sha256}) => sha256)).toEqual([digestOf(disk), digestOf(other), digestOf(disk)])
    expect(lab.cachedDisks()).toHaveLength(2)
    await expect(listImages(lab.scratch.store)).resolves.toHaveLength(3)
  })

  it('is fetched again when another checksum is declared; the old one stays', async () => {
    const source = lab.serve('/disk.raw', disk)
    const old = await ensure(url(source))
    const news = makeRawDisk(300_000, 3)
    lab.serve('/disk.raw', news)
    await expect(ensure(url(source))).resolves.toEqual(old)
    await expect(find(url(source, {sha256: digestOf(news)}))).resolves.toBeUndefined()
    const fresh = await ensure(url(source, {sha256: digestOf(news)}))
    expect(readFileSync(fresh.path).equals(news)).toBe(true)
    expect(readFileSync(old.path).equals(disk)).toBe(true)
    await expect(ensure(url(source, {sha512: digestOf(disk, 'sha512')}))).resolves.toEqual(old)
    expect(lab.server.requests).toHaveLength(2)
  })

  it('is checked against a checksum list that is added later, without a download', async () => {
    const source = lab.serve('/disk.raw', disk)
    const image = await ensure(url(source))
    const checksumUrl = lab.serve('/SUMS', Buffer.from(`SHA512 (disk.raw) = ${digestOf(disk, 'sha512')}\n`))
    await expect(find(url(source, {checksumUrl}))).resolves.toBeUndefined()
    await expect(ensure(url(source, {checksumUrl}))).resolves.toEqual(image)
    await expect(ensure(url(source, {checksumUrl}))).resolves.toEqual(image)
    expect(lab.server.requests.map(({path}) => path)).toEqual(['/disk.raw', '/SUMS'])
  })

  it.each(['zstd', 'gzip', 'xz', 'bzip2'])('is decompressed with %s', async (program) => {
    const extension = {zstd: 'zst', gzip: 'gz', xz: 'xz', bzip2: 'bz2'}[program]
    const qcow2 = makeImage(lab.scratch.path, 'qcow2')
    const packed = through(qcow2, program)
    const source = lab.serve(`/disk.qcow2.${extension}`, packed)
    const image = await ensure(url(source, {sha256: digestOf(packed)}))
    expect(image).toMatchObject({format: 'qcow2', sha256: digestOf(packed), virtualSizeBytes: 64 * 2 ** 20})
    expect(lab.cachedDisks()).toEqual([`sha256-${digestOf(packed)}-disk.qcow2`])
    expect(readFileSync(image.path).equals(qcow2)).toBe(true)
    expect(partials()).toEqual([])
    await expect(find(url(source))).resolves.toEqual(image)
  })

  it.each([
    ['truncated', through(disk, 'zstd').subarray(0, -20), 'vmctl::image::decompression_failed'],
    ['an error page', Buffer.from('<!DOCTYPE html><title>Sorry</title>'), 'vmctl::image::decompression_failed'],
    ['a compressed text', through(Buffer.from('hello '.repeat(1000)), 'zstd'), 'vmctl::image::format_detection_failed'],
  ])('never enters the cache when it is %s', async (_, content, code) => {
    await expect(ensure(url(lab.serve('/disk.raw.zst', content)))).rejects.toMatchObject({code})
    expect(lab.cachedDisks()).toEqual([])
    expect(partials()).toEqual([])
    await expect(listImages(lab.scratch.store)).resolves.toEqual([])
  })

  it('must have the declared format; raw is taken as given', async () => {
    const qcow2 = makeImage(lab.scratch.path, 'qcow2')
    const source = lab.serve('/disk.img', qcow2)
    await expect(ensure(url(source, {format: 'vmdk'}))).rejects.toMatchObject({code: 'vmctl::image::format_detection_failed'})
    const guessed = await ensure(url(source, {format: 'qcow2'}))
    await expect(ensure(url(source, {format: 'vdi'}))).rejects.toMatchObject({code: 'vmctl::image::format_detection_failed'})
    const raw = await ensure(url(source, {format: 'raw'}))
    expect(raw).toMatchObject({format: 'raw', path: guessed.path})
    await expect(find(url(source))).resolves.toEqual(guessed)
    await expect(find(url(source, {format: 'raw'}))).resolves.toEqual(raw)
    expect(lab.server.requests).toHaveLength(2)
  })

  it('is fetched again when its file is damaged or gone', async () => {
    const reference = url(lab.serve('/disk.raw', disk))
    const {path} = await ensure(reference)
    truncateSync(path, 1000)
    await expect(find(reference)).resolves.toBeUndefined()
    await ensure(reference)
    expect(readFileSync(path).equals(disk)).toBe(true)
    rmSync(path)
    await ensure(reference)
    expect(readFileSync(path).equals(disk)).toBe(true)
  })

  it('keeps no password and no token in its index', async () => {
    const source = `${lab.serve('/disk.raw', disk).replace('//', '//canary:canary@')}?sig=canary#canary`
    await ensure(url(source))
    const refs = join(lab.scratch.store.directory, 'refs')
    const names = readdirSync(refs)
    expect(names).toHaveLength(1)
    for (const name of names) expect(readFileSync(join(refs, name), 'utf8')).not.toContain('canary')
    await expect(find(url(source))).resolves.toBeDefined()
  })

  it('needs a scheme that a source knows', async () => {
    for (const source of ['oci://example.org/x', 'file:///etc/passwd', 'nonsense', 'javascript:1']) {
      await expect(ensure(url(source))).rejects.toMatchObject({code: 'vmctl::usage::invalid'})
    }
  })

  it('cannot lead out of the cache by its name', async () => {
    for (const path of ['/%2e%2e%2f%2e%2e%2fetc%2fpasswd', '/..%2f..%2fx', '/%00', '/%E2%80%AEgpj.exe', '/', '/a%zz']) {
      lab.server.files.set(new URL(path, lab.server.origin).pathname, {content: disk})
      await ensure(url(`${lab.server.origin}${path}`))
    }
    expect(lab.cachedDisks()).toHaveLength(1)
    const images = await listImages(lab.scratch.store)
    expect(images).not.toEqual([])
    for (const {name} of images) expect(name).not.toMatch(/\p{Cc}|\p{Cf}/u)
    expect(readdirSync(lab.scratch.path).toSorted()).toEqual(['images', 'locks'])
  })
})

describe('a local image', () => {
  it('is used where it lies, by its absolute path', async () => {
    const path = write('my images/disk, 1.qcow2', makeImage(lab.scratch.path, 'qcow2'))
    symlinkSync(path, join(lab.scratch.path, 'link.qcow2'))
    const image = {path, format: 'qcow2', virtualSizeBytes: 64 * 2 ** 20}
    await expect(ensure(file(join(lab.scratch.path, 'link.qcow2')))).resolves.toEqual(image)
    await expect(find(file(path))).resolves.toEqual(image)
    expect(lab.cachedDisks()).toEqual([])
  })

  it('that does not exist or is no file is an error', async () => {
    await expect(ensure(file(join(lab.scratch.path, 'none.qcow2')))).rejects.toMatchObject({code: 'vmctl::image::not_found'})
    await expect(ensure(file(lab.scratch.path))).rejects.toMatchObject({code: 'vmctl::image::not_found'})
    await expect(find(file(lab.scratch.path))).resolves.toBeUndefined()
  })

  it('is compared with its checksum once, and again when it changes', async () => {
    const path = write('disk.raw', disk)
    await expect(ensure(file(path, {sha256: digestOf(Buffer.from('x'))}))).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
    const reference = file(path, {sha512: digestOf(disk, 'sha512')})
    await ensure(reference)
    await expect(find(reference)).resolves.toMatchObject({path})
    write('disk.raw', makeRawDisk(300_000, 4))
    await expect(find(reference)).resolves.toBeUndefined()
    await expect(ensure(reference)).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
    await expect(listImages(lab.scratch.store)).resolves.toEqual([])
  })

  it('is decompressed into the cache once per content', async () => {
    const path = write('disk.raw.zst', through(disk, 'zstd'))
    const image = await ensure(file(path))
    expect(readFileSync(image.path).equals(disk)).toBe(true)
    await expect(find(file(path))).resolves.toEqual(image)
    const copy = write('copy.zst', readFileSync(path))
    const events: ImageEvent[] = []
    await ensureImage(lab.scratch.store, file(copy), {signal, onEvent: (event) => events.push(event)})
    expect(events).toEqual([{type: 'image.ready', source: copy, path: image.path, isFresh: false}])
    await expect(find(file(copy))).resolves.toEqual(image)
    const broken = write('broken.raw.gz', through(disk, 'gzip').subarray(0, 1000))
    await expect(ensure(file(broken))).rejects.toMatchObject({
      code: 'vmctl::image::decompression_failed',
      message: expect.stringContaining(broken),
    })
    expect(partials()).toEqual([])
  })
})

describe('the cache', () => {
  it('lists what it has, and a damaged index file in its own line', async () => {
    await ensure(url(lab.serve('/one.raw', disk)))
    await ensure(url(lab.serve('/two.raw', makeRawDisk(100_000, 5))), 'mine')
    writeFileSync(join(lab.scratch.store.directory, 'refs', 'bad.json'), '{"schema":1,')
    writeFileSync(join(lab.scratch.store.directory, 'refs', 'evil.json'), JSON.stringify({schema: 1, disk: {file: '../../etc/passwd'}}))
    const orphan = `sha256-${'a'.repeat(64)}.qcow2`
    writeFileSync(join(lab.scratch.store.directory, orphan), 'x')
    const images = await listImages(lab.scratch.store)
    expect(images.map(({name, problem}) => [name, problem !== undefined])).toEqual([
      ['bad.json', true],
      ['evil.json', true],
      ['mine', false],
      ['one.raw', false],
      [orphan, true],
    ])
    expect(images[3]).toMatchObject({source: `${lab.server.origin}/one.raw`, format: 'raw', sha256: digestOf(disk), sizeBytes: 300_000})
  })

  it('survives every truncation of an index file', async () => {
    const reference = url(lab.serve('/disk.raw', disk))
    await ensure(reference)
    const refs = join(lab.scratch.store.directory, 'refs')
    const path = join(refs, readdirSync(refs)[0] ?? '')
    const text = readFileSync(path, 'utf8')
    for (let length = 0; length < text.trimEnd().length; length++) {
      writeFileSync(path, text.slice(0, length))
      await expect(find(reference)).resolves.toBeUndefined()
    }
    await ensure(reference)
    await expect(find(reference)).resolves.toBeDefined()
  })

  it('removes by name, URL or digest, unless a VM needs it', async () => {
    const source = lab.serve('/one.raw', disk)
    const {path} = await ensure(url(source))
    await ensure(url(lab.serve('/again.raw', disk)))
    const busy = {inUse: (each: string) => (each === path ? 'web' : undefined)}
    await expect(removeImage(lab.scratch.store, digestOf(disk), busy)).rejects.toMatchObject({
      code: 'vmctl::image::in_use',
      message: expect.stringContaining('web'),
    })
    await expect(removeImage(lab.scratch.store, 'one.rav', free)).rejects.toMatchObject({
      code: 'vmctl::image::not_found',
      help: expect.stringContaining('one.raw'),
    })
    // Another source still needs the disk, so it is not about to go.
    await expect(removeImage(lab.scratch.store, source, busy)).resolves.toMatchObject([{name: 'one.raw'}])
    expect(existsSync(path)).toBe(true)
    await expect(removeImage(lab.scratch.store, `sha256:${digestOf(disk).slice(0, 12)}`, free)).resolves.toMatchObject([
      {name: 'again.raw'},
    ])
    expect(existsSync(path)).toBe(false)
    await expect(find(url(source))).resolves.toBeUndefined()
  })

  it('gives an image another name', async () => {
    const reference = url(lab.serve('/disk.raw', disk))
    await ensure(reference)
    await ensure(reference, 'debian')
    await expect(listImages(lab.scratch.store)).resolves.toMatchObject([{name: 'debian'}])
    expect(lab.server.requests).toHaveLength(1)
  })

  it('removes the temporary files of killed processes at once, and none of a process at work', async () => {
    const source = lab.serve('/a.raw', disk)
    const [own, other, busy] = [urlKey(new URL(source)), '1'.repeat(64), '2'.repeat(64)]
    const directories = [join(lab.scratch.store.directory, 'partial'), join(lab.scratch.store.directory, 'refs')]
    for (const directory of [...directories, lab.scratch.store.lockDirectory]) mkdirSync(directory, {recursive: true})
    const temporary = (key: string): string => `.${key}.json.12.0123456789ab.tmp`
    for (const key of [own, other, busy]) writeFileSync(join(directories[0] ?? '', temporary(key)), 'x')
    writeFileSync(join(directories[1] ?? '', temporary(other)), 'x')
    await using _lock = await acquireLock(imageFiles.fetchLock(lab.scratch.store, busy), {purpose: 'work', timeoutMs: 0})
    await ensure(url(source))
    expect(partials()).toEqual([temporary(busy)])
    expect(readdirSync(directories[1] ?? '').filter((name) => name.startsWith('.'))).toEqual([])
  })

  it('removes a finished download whose process was killed before it could, and keeps that of another publication', async () => {
    const reference = url(lab.serve('/disk.raw.zst', through(disk, 'zstd')))
    await ensure(reference)
    const key = urlKey(new URL(reference.source))
    const {etag, sizeBytes} = (await readEntries(lab.scratch.store, key)).entries[0]?.published ?? {}
    const leave = (validators: object): void => {
      writeFileSync(join(lab.scratch.store.directory, 'partial', key), 'x')
      writeFileSync(join(lab.scratch.store.directory, 'partial', `${key}.json`), JSON.stringify(validators))
    }
    leave({etag: '"another"', totalBytes: sizeBytes})
    await ensure(reference)
    expect(partials().toSorted()).toEqual([key, `${key}.json`])
    leave({etag, totalBytes: sizeBytes})
    await ensure(reference)
    expect(partials()).toEqual([])
    expect(lab.server.requests).toHaveLength(1)
  })

  it('forgets left-overs of killed processes once they are old', async () => {
    await ensure(url(lab.serve('/a.raw', disk)))
    const directory = join(lab.scratch.store.directory, 'partial')
    const [old, young] = ['1'.repeat(64), '2'.repeat(64)]
    for (const name of [old, `${old}.json`, `${old}.disk`, young, `${young}.disk`]) writeFileSync(join(directory, name), 'x')
    const longAgo = new Date(Date.now() - 30 * 24 * 3600 * 1000)
    for (const name of [old, `${old}.json`, `${old}.disk`, `${young}.disk`]) utimesSync(join(directory, name), longAgo, longAgo)
    await ensure(url(lab.serve('/b.raw', disk)))
    expect(partials()).toEqual([young])
  })
})

describe('a disk with compressed clusters', () => {
  const big = makeRawDisk(4_000_256)

  it.each(['zlib', 'zstd'])('(%s) is stored without them, and is the same disk', async (type) => {
    const published = makeCompressed(lab.scratch.path, big, '-o', `compression_type=${type}`)
    const reference = url(lab.serve('/disk.qcow2', published, {cutAfter: [1000]}), {sha256: digestOf(published)})
    const image = await ensure(reference)
    expect(lab.cachedDisks()).toEqual([`sha256-${digestOf(published)}-disk.qcow2`])
    expect(partials()).toEqual([])
    expect(await readClusters(image.path)).toMatchObject({hasCompressed: false})
    execFileSync('qemu-img', ['compare', '-q', '-f', 'qcow2', '-F', 'raw', image.path, write('disk.raw', big)])
    expect(image.sha256).toBe(digestOf(published))
    expect(await find(reference)).toEqual(image)
    const own = digestOf(readFileSync(image.path))
    expect(await verifyImages(lab.scratch.store, undefined)).toEqual([{name: 'disk.qcow2', path: image.path, sha256: own}])
    // Declared raw it is another disk, whose bytes are those of the file.
    const raw = await ensure({...reference, format: 'raw'})
    expect(readFileSync(raw.path).equals(published)).toBe(true)
  })

  it('is stored without them when it comes in a compressed file, local or not, and is made once', async () => {
    const inner = makeCompressed(lab.scratch.path, big)
    const packed = through(inner, 'xz')
    const events: ImageEvent[] = []
    const onEvent = (event: ImageEvent): void => void events.push(event)
    const image = await ensureImage(lab.scratch.store, file(write('disk.qcow2.xz', packed)), {signal, onEvent})
    expect(events.findLast(({type}) => type === 'image.decompressing')).toMatchObject({readBytes: inner.length, totalBytes: inner.length})
    expect(await readClusters(image.path)).toMatchObject({hasCompressed: false})
    const {ino} = statSync(image.path)
    expect(await ensure(url(lab.serve('/disk.qcow2.xz', packed)))).toEqual(image)
    expect(statSync(image.path).ino).toBe(ino)
    expect(lab.cachedDisks()).toHaveLength(1)
    expect(partials()).toEqual([])
  })

  it('that an older vmctl has stored with them stays as it is under the VMs made from it', async () => {
    const published = makeCompressed(lab.scratch.path, big)
    const reference = url(lab.serve('/disk.qcow2', published))
    const {path} = await ensure(reference)
    const [{disk: _disk, ...entry} = never()] = (await readEntries(lab.scratch.store)).entries
    const old = join(lab.scratch.store.directory, `sha256-${digestOf(published)}.qcow2`)
    renameSync(path, old)
    writeFileSync(old, published)
    const stored = {file: basename(old), sha256: digestOf(published), sizeBytes: published.length, virtualSizeBytes: 4_000_256}
    await writeEntry(lab.scratch.store, {...entry, disk: {...stored, format: 'qcow2', isDeclaredRaw: false}})
    const {ino} = statSync(old)
    await ensureImage(lab.scratch.store, reference, {signal, fresh: true})
    expect((await ensure(reference)).path).toBe(old)
    expect(statSync(old).ino).toBe(ino)
    expect(await verifyImages(lab.scratch.store, undefined)).toEqual([{name: 'disk.qcow2', path: old, sha256: digestOf(published)}])
  })

  it('that would fill the disk is refused before anything is written', async () => {
    await expect(ensure(url(lab.serve('/bomb.qcow2', makeClusterBomb(lab.scratch.path))))).rejects.toMatchObject({
      code: 'vmctl::image::no_space',
      message: expect.stringMatching(/bomb\.qcow2 holds \d+ bytes when it is unpacked, and \d+ are free/),
    })
    expect(lab.cachedDisks()).toEqual([])
    expect(partials().filter((name) => !/^[0-9a-f]{64}(?:\.json)?$/.test(name))).toEqual([])
  })
})

describe('a disk that was unpacked', () => {
  const packed = through(disk, 'zstd')
  const verify = async () => verifyImages(lab.scratch.store, undefined)

  it('has a digest on record once somebody has asked for it, and damage is told from then on', async () => {
    const {path} = await ensure(url(lab.serve('/disk.raw.zst', packed)))
    expect(await listImages(lab.scratch.store)).toEqual([expect.not.objectContaining({sha256: expect.anything()})])
    expect(await verify()).toEqual([{name: 'disk.raw.zst', path, sha256: digestOf(disk), isNew: true}])
    expect(await verify()).toEqual([{name: 'disk.raw.zst', path, sha256: digestOf(disk)}])
    damage(path)
    expect(await verify()).toMatchObject([{path, problem: expect.stringContaining('damaged')}])
  })

  it('is not taken for good when its file was touched before that: it is fetched again, and repaired', async () => {
    const reference = url(lab.serve('/disk.raw.zst', packed))
    const {path} = await ensure(reference)
    damage(path)
    expect(await verify()).toMatchObject([{path, problem: expect.stringContaining('nobody knows its digest')}])
    await expect(find(reference)).resolves.toBeUndefined()
    await ensure(reference)
    expect(readFileSync(path).equals(disk)).toBe(true)
    // Both files were read for that, so that the digest is known.
    expect(await verify()).toEqual([{name: 'disk.raw.zst', path, sha256: digestOf(disk)}])
  })

  it('is good in a copy of the state directory, without a digest and without a request', async () => {
    const reference = url(lab.serve('/disk.raw.zst', packed))
    const {path} = await ensure(reference)
    const copy = `${path}.copy`
    execFileSync('cp', ['-a', path, copy])
    const {mtime} = statSync(path)
    // An archive keeps the second alone.
    const second = Math.floor(mtime.getTime() / 1000)
    utimesSync(copy, second, second)
    renameSync(copy, path)
    expect((await ensure(reference)).path).toBe(path)
    expect(await verify()).toMatchObject([{isNew: true}])
    utimesSync(path, second - 5, second - 5)
    expect((await ensure(reference)).path).toBe(path)
    expect(lab.server.requests).toHaveLength(1)
  })

  it('of vmctl 0.1 keeps the name that it has, its own digest, and its place on the disk under the VMs made from it', async () => {
    const source = lab.serve('/disk.raw.zst', packed)
    const {path} = await ensure(url(source))
    const own = join(lab.scratch.store.directory, `sha256-${digestOf(disk)}.raw`)
    renameSync(path, own)
    const refs = join(lab.scratch.store.directory, 'refs')
    const index = join(refs, readdirSync(refs)[0] ?? '')
    const {trust: _trust, ...entry} = JSON.parse(readFileSync(index, 'utf8')) as CacheEntry
    const {stamp: _stamp, ...old} = entry.disk ?? {}
    writeFileSync(index, JSON.stringify({...entry, disk: {...old, file: basename(own), sha256: digestOf(disk)}}))
    const {ino} = statSync(own)
    expect((await ensure(url(source))).path).toBe(own)
    expect(lab.server.requests).toHaveLength(1)
    expect(await verify()).toEqual([{name: 'disk.raw.zst', path: own, sha256: digestOf(disk)}])
    await ensureImage(lab.scratch.store, url(source), {signal, fresh: true})
    expect((await ensure(url(lab.serve('/again.raw.zst', packed)))).path).toBe(own)
    expect(statSync(own).ino).toBe(ino)
    expect(lab.cachedDisks()).toEqual([basename(own)])
    damage(own)
    await ensureImage(lab.scratch.store, url(source), {signal, fresh: true})
    expect(readFileSync(own).equals(disk)).toBe(true)
  })
})

it('downloads to a path of the caller, once', async () => {
  const destination = join(lab.scratch.path, 'mine.raw')
  const job = {reference: url(lab.serve('/disk.raw.xz', through(disk, 'xz'))), destination}
  await expect(downloadImage(lab.scratch.store.sources, job, {signal})).resolves.toBe(true)
  expect(readFileSync(destination).equals(disk)).toBe(true)
  await expect(downloadImage(lab.scratch.store.sources, job, {signal})).resolves.toBe(false)
  expect(readdirSync(lab.scratch.path)).toEqual(['mine.raw'])
})

import {readdirSync} from 'node:fs'

import {beforeAll, describe, expect, test} from 'vitest'

import {useImageLab} from '../../../test/support/image-lab.ts'
import type {ServedFile} from '../../../test/support/image-server.ts'
import {digestOf, makeImage, makeRawDisk} from '../../../test/support/images.ts'
import {makeKey, publish, publishedNames, publishersAt, signClear, signDetached, type TestKey} from '../../../test/support/publishers.ts'
import {builtInCatalogue} from '../../model/catalogue-entries.ts'
import {findCatalogueImage, type Mirror, referenceOf} from '../../model/catalogue.ts'
import {exitCodeOf} from '../../model/errors.ts'
import type {BaseImage, ImageReference} from '../../model/vm.ts'
import {ensureImage, findImage} from '../cache.ts'
import {createHttpSource} from '../http.ts'
import type {HttpOptions} from '../http-client.ts'
import {imageFiles, type ImageStore} from '../image-store.ts'
import {listImages} from '../manage.ts'
import {createResolver} from './resolve.ts'

const lab = useImageLab()
let key: TestKey
let stranger: TestKey

beforeAll(async () => {
  key = await makeKey()
  stranger = await makeKey()
})

const content = makeRawDisk(64 * 1024)

interface Asked {
  readonly publisherKey?: TestKey
  readonly mirrors?: readonly Mirror[]
  readonly refresh?: boolean
  readonly idleTimeoutMs?: number
  readonly notices?: string[]
  /** What is said of attempts that failed. */
  readonly told?: string[]
  /** Of downloads. */
  readonly sourceLimits?: HttpOptions
  readonly reference?: Partial<ImageReference>
}

const storeFor = ({publisherKey = key, mirrors = [], idleTimeoutMs = 2000, sourceLimits}: Asked = {}): ImageStore => ({
  ...lab.scratch.store,
  ...(sourceLimits && {sources: [createHttpSource({retryDelayMs: 1, ...sourceLimits})]}),
  resolve: createResolver({
    catalogue: async () => ({publishers: publishersAt(lab.server.origin, publisherKey), mirrors}),
    keyDirectory: imageFiles.keys(lab.scratch.store),
    retries: 1,
    retryDelayMs: 1,
    idleTimeoutMs,
  }),
})

const referenceTo = (name: string): ImageReference => {
  const image = findCatalogueImage(builtInCatalogue, name)
  if (!image) throw new Error(name)
  return {...referenceOf(image), format: 'raw'}
}

const ensure = (name: string, asked: Asked = {}): Promise<BaseImage> =>
  ensureImage(
    storeFor(asked),
    {...referenceTo(name), ...asked.reference},
    {
      signal: AbortSignal.timeout(20_000),
      ...(asked.refresh && {refresh: true}),
      onNotice: (message) => void asked.notices?.push(message),
      onEvent: (event) => void (event.type === 'image.retrying' && asked.told?.push(event.reason)),
    },
  )

/** Nothing of a failure may be left where an image is looked for. */
const expectNothingCached = async (): Promise<void> => {
  expect(await listImages(lab.scratch.store)).toEqual([])
  expect(readdirSync(lab.scratch.store.directory).filter((name) => name.startsWith('sha256-'))).toEqual([])
}

describe('each publisher', () => {
  test.each(publishedNames)('%s: the dated file and its digest are found, and who vouches for them', async (name) => {
    const {image} = await publish(lab.server, name, {content, key})
    const resolved = await storeFor().resolve?.(referenceTo(name), {signal: AbortSignal.timeout(20_000), onNotice: () => undefined})
    expect(resolved?.urls).toEqual([`${lab.server.origin}${image}`])
    const {sha256, sha512} = resolved?.digests ?? {}
    expect([sha256 ?? digestOf(content), sha512 ?? digestOf(content, 'sha512')]).toEqual([digestOf(content), digestOf(content, 'sha512')])
    expect(sha256 ?? sha512).toBeDefined()
    const {signature, title} = findCatalogueImage(builtInCatalogue, name)?.publisher ?? {}
    expect(resolved?.trust).toEqual(
      // This server speaks plain http.
      signature ? {level: 'signed', by: title, fingerprint: key.fingerprint} : {level: 'none'},
    )
  })

  test('the layout of each is tried here', () => {
    expect(new Set(publishedNames.map((name) => name.split(':')[0]))).toEqual(new Set(builtInCatalogue.map(({name}) => name)))
  })

  test('Alpine has an image for each firmware', async () => {
    await publish(lab.server, 'alpine:3.24', {content, key})
    const folder = '/alpine/alpine/v3.24/releases/cloud'
    const uefi = 'generic_alpine-3.24.10-x86_64-uefi-cloudinit-r0.qcow2'
    lab.server.files.set(`${folder}/${uefi}.sha512`, {content: Buffer.from(digestOf(content, 'sha512'))})
    const resolved = await storeFor().resolve?.(
      {...referenceTo('alpine:3.24'), firmware: 'uefi'},
      {signal: AbortSignal.timeout(20_000), onNotice: () => undefined},
    )
    expect(resolved?.urls).toEqual([`${lab.server.origin}${folder}/${uefi}`])
  })
})

describe('the cache', () => {
  test('an image that was fetched is used without a request, and says who vouched for it', async () => {
    await publish(lab.server, 'ubuntu:24.04', {content, key})
    const image = await ensure('ubuntu:24.04')
    expect(await listImages(lab.scratch.store)).toMatchObject([
      {source: 'ubuntu:24.04', trust: 'signed', signedBy: 'Ubuntu', fingerprint: key.fingerprint, publishedSha256: digestOf(content)},
    ])
    lab.server.requests.length = 0
    expect(await ensure('ubuntu:24.04')).toEqual(image)
    expect(await findImage(storeFor(), referenceTo('ubuntu:24.04'))).toEqual(image)
    expect(lab.server.requests).toEqual([])
  })

  test('a refresh of the same build fetches its list alone; one of a newer build is what the name means then', async () => {
    const first = await publish(lab.server, 'debian:12', {content, key})
    const old = await ensure('debian:12')
    expect(await ensure('debian:12', {refresh: true})).toEqual(old)
    expect(lab.asked(first.image)).toBe(1)
    await publish(lab.server, 'debian:12', {content: makeRawDisk(64 * 1024, 7), key})
    const newer = await ensure('debian:12', {refresh: true})
    expect(newer.sha256).not.toBe(old.sha256)
    expect(await findImage(storeFor(), referenceTo('debian:12'))).toEqual(newer)
    // The publisher goes back to what it had: so does the name, and nothing is fetched.
    await publish(lab.server, 'debian:12', {content, key})
    lab.server.requests.length = 0
    expect(await ensure('debian:12', {refresh: true})).toEqual(old)
    expect(lab.asked(first.image)).toBe(0)
    expect(await findImage(storeFor(), referenceTo('debian:12'))).toEqual(old)
  })

  test('bytes that came by URL are not fetched again for the name', async () => {
    const {image} = await publish(lab.server, 'rocky:10', {content, key})
    const options = {signal: AbortSignal.timeout(20_000)}
    const byUrl = await ensureImage(lab.scratch.store, {kind: 'url', source: `${lab.server.origin}${image}`, format: 'raw'}, options)
    expect(await ensure('rocky:10')).toEqual(byUrl)
    expect(lab.asked(image)).toBe(1)
  })

  test('a publisher that cannot be reached fails a refresh, which says that the cache has one', async () => {
    await publish(lab.server, 'debian:12', {content, key})
    const image = await ensure('debian:12')
    lab.server.files.clear()
    const today = new Date().toISOString().slice(0, 10)
    await expect(ensure('debian:12', {refresh: true})).rejects.toMatchObject({
      code: 'vmctl::image::download_failed',
      help: expect.stringContaining(`The image of ${today} is in the cache`) as unknown,
    })
    expect(await ensure('debian:12')).toEqual(image)
  })
})

describe('what is wrong is refused, and nothing of it is kept', () => {
  test('other bytes than the list says', async () => {
    const {image} = await publish(lab.server, 'ubuntu:24.04', {content, key})
    lab.server.files.set(image, {content: makeRawDisk(64 * 1024, 2)})
    await expect(ensure('ubuntu:24.04')).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
    await expectNothingCached()
  })

  test('a list that was changed after it was signed', async () => {
    const other = makeRawDisk(64 * 1024, 2)
    const {image, list} = await publish(lab.server, 'ubuntu:24.04', {content, key})
    lab.server.files.set(image, {content: other})
    const text = lab.server.files.get(list)?.content.toString().replace(digestOf(content), digestOf(other)) ?? ''
    lab.server.files.set(list, {content: Buffer.from(text)})
    await expect(ensure('ubuntu:24.04')).rejects.toMatchObject({
      code: 'vmctl::image::signature_invalid',
      message: expect.stringContaining('does not belong to what it is said to sign') as unknown,
    })
    await expectNothingCached()
    expect(lab.asked(image)).toBe(0)
  })

  test('a line that was changed in a clear-signed list, and lines around it', async () => {
    const other = makeRawDisk(64 * 1024, 2)
    const {image, list} = await publish(lab.server, 'fedora:44', {content, key})
    const signed = lab.server.files.get(list)?.content.toString() ?? ''
    lab.server.files.set(image, {content: other})
    lab.server.files.set(list, {content: Buffer.from(signed.replaceAll(digestOf(content), digestOf(other)))})
    await expect(ensure('fedora:44')).rejects.toMatchObject({code: 'vmctl::image::signature_invalid'})
    const name = image.slice(image.lastIndexOf('/') + 1)
    const line = `SHA256 (${name}) = ${digestOf(other)}\n`
    lab.server.files.set(list, {content: Buffer.from(`${line}${signed}\n${line}`)})
    // What stands around the message is not of the publisher: the bytes have to be those of the list.
    await expect(ensure('fedora:44')).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
    await expectNothingCached()
  })

  test.each([
    ['a missing one', async () => undefined, 'is missing'],
    ['an empty one', async () => '\n', 'cannot be read as a signature'],
    ['a web page', async () => '<!DOCTYPE html><h1>Not found</h1>', 'cannot be read as a signature'],
    ['one of a stranger', (text: string) => signDetached(text, stranger), 'is signed by another key'],
    ['one of another text', () => signDetached('other', key), 'does not belong'],
  ] as const)('instead of a signature: %s', async (_what, made, why) => {
    const {list, signature = ''} = await publish(lab.server, 'ubuntu:24.04', {content, key})
    const replaced = await made(lab.server.files.get(list)?.content.toString() ?? '')
    if (replaced === undefined) lab.server.files.delete(signature)
    else lab.server.files.set(signature, {content: Buffer.from(replaced)})
    const failure: unknown = await ensure('ubuntu:24.04').catch((error: unknown) => error)
    expect(failure).toMatchObject({code: 'vmctl::image::signature_invalid', message: expect.stringContaining(why) as unknown})
    expect(exitCodeOf(failure)).toBe(4)
    await expectNothingCached()
  })

  test('a list without a signed message where one is due', async () => {
    const {list} = await publish(lab.server, 'fedora:44', {content, key})
    lab.server.files.set(list, {content: Buffer.from(`SHA256 (Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2) = ${digestOf(content)}\n`)})
    await expect(ensure('fedora:44')).rejects.toMatchObject({code: 'vmctl::image::signature_invalid'})
    lab.server.files.set(list, {content: Buffer.from(await signClear('# nothing', stranger))})
    await expect(ensure('fedora:44')).rejects.toMatchObject({code: 'vmctl::image::signature_invalid'})
    await expectNothingCached()
  })

  test('a key that does not have the pinned fingerprint, wherever it comes from', async () => {
    const {list, signature = ''} = await publish(lab.server, 'ubuntu:24.04', {content, key})
    const text = lab.server.files.get(list)?.content.toString() ?? ''
    lab.server.files.set(signature, {content: Buffer.from(await signDetached(text, stranger))})
    lab.server.files.set(`/keys/${key.fingerprint}`, {content: Buffer.from(stranger.armored)})
    const failure: unknown = await ensure('ubuntu:24.04').catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'vmctl::image::key_unusable',
      message: expect.stringContaining('has no key with this fingerprint') as unknown,
    })
    await expectNothingCached()
  })

  test.each([
    ['a listing without any build', '/ubuntu/releases/noble/', '<html><a href="release/">release/</a></html>'],
    ['a page that says "not found" with status 200', '/rocky/pub/rocky/10/images/x86_64/CHECKSUM', '<!DOCTYPE html><h1>404</h1>'],
    ['a list without the image', '/centos-stream/centos/10-stream/x86_64/images/CHECKSUM', 'SHA256 (other.iso) = '.concat('0'.repeat(64))],
    ['half a JSON', '/debian/images/cloud/bookworm/latest/debian-12-generic-amd64.json', '{"items": ['],
    [
      'a JSON that leads elsewhere',
      '/oraclelinux/templates/OracleLinux/ol9-template.json',
      JSON.stringify({base_url: '/../..', kvm: {image: 'x', sha256: '0'.repeat(64)}}),
    ],
  ])('%s', async (_what, path, text) => {
    const name = publishedNames.find((one) => path.startsWith(`/${one.split(':')[0]}/`)) ?? ''
    await publish(lab.server, name, {content, key})
    expect(lab.server.files.has(path)).toBe(true)
    lab.server.files.set(path, {content: Buffer.from(text)})
    await expect(ensure(name)).rejects.toMatchObject({
      code: 'vmctl::image::download_failed',
      message: expect.stringContaining(path) as unknown,
    })
    await expectNothingCached()
  })

  test('a loop of redirects', async () => {
    const {list} = await publish(lab.server, 'rocky:10', {content, key})
    lab.server.files.set(list, {content: Buffer.alloc(0), redirectsTo: list})
    await expect(ensure('rocky:10')).rejects.toMatchObject({
      code: 'vmctl::image::download_failed',
      message: expect.stringContaining('redirects more than') as unknown,
    })
    await expectNothingCached()
  })

  test('a server that sends its list a byte at a time, for ever', async () => {
    const {list} = await publish(lab.server, 'rocky:10', {content, key})
    lab.server.files.set(list, {content: Buffer.alloc(100_000, 'a'), stallsAfter: 1, tricklesMs: 20})
    await expect(ensure('rocky:10', {idleTimeoutMs: 150})).rejects.toMatchObject({code: 'vmctl::image::download_failed'})
    await expectNothingCached()
  })

  test('a name that its publisher has not for the processor', async () => {
    await expect(ensure('arch:latest', {reference: {architecture: 'aarch64'}})).rejects.toMatchObject({
      code: 'vmctl::image::not_found',
      message: 'Arch Linux publishes no arch:latest for aarch64.',
    })
    expect(lab.server.requests).toEqual([])
  })

  test('a digest of the user that the newest build does not have', async () => {
    await publish(lab.server, 'rocky:10', {content, key})
    await expect(ensure('rocky:10', {reference: {sha256: '0'.repeat(64)}})).rejects.toMatchObject({
      code: 'vmctl::image::checksum_mismatch',
      message: 'The publisher of rocky:10 lists another sha256 than the declared one.',
    })
    await expectNothingCached()
  })
})

describe('what may happen and is no fault', () => {
  test('a list that is replaced between two requests', async () => {
    const {list, signature = ''} = await publish(lab.server, 'ubuntu:24.04', {content, key})
    const good = lab.server.files.get(list)
    const old = 'old list\n'
    // The list is still the old one at the first request, its signature the new one already.
    lab.server.files.set(list, {content: Buffer.from(old)})
    const timer = setInterval(() => {
      if (lab.asked(signature) > 0 && good) lab.server.files.set(list, good)
    }, 1)
    const file = lab.server.files.get(signature)
    if (file) file.delayMs = 50
    await ensure('ubuntu:24.04').finally(() => clearInterval(timer))
    expect(lab.asked(list)).toBe(2)
    expect(await listImages(lab.scratch.store)).toMatchObject([{trust: 'signed'}])
  })

  test('a key that has ended since, which is told', async () => {
    const past = new Date('2024-03-01T00:00:00Z')
    const ended = await makeKey({date: new Date('2024-01-01T00:00:00Z'), expiresAfterS: 200 * 86_400})
    const {list, signature = ''} = await publish(lab.server, 'ubuntu:24.04', {content, key})
    lab.server.files.set(`/keys/${ended.fingerprint}`, {content: Buffer.from(ended.armored)})
    const text = lab.server.files.get(list)?.content.toString() ?? ''
    lab.server.files.set(signature, {content: Buffer.from(await signDetached(text, ended, past))})
    const notices: string[] = []
    await ensure('ubuntu:24.04', {publisherKey: ended, notices})
    expect(notices).toEqual([`The key ${ended.fingerprint} of Ubuntu has ended on 2024-07-19. What it signed before that is good.`])
  })

  test('a redirector, and a server that knows no ranges', async () => {
    const {image} = await publish(lab.server, 'arch:latest', {content, key})
    const file = lab.server.files.get(image)
    if (!file) throw new Error(image)
    lab.server.files.set('/mirror/disk', {...file, ignoresRange: true, cutAfter: [20_000]})
    lab.server.files.set(image, {content: Buffer.alloc(0), redirectsTo: `${lab.server.origin}/mirror/disk`})
    expect((await ensure('arch:latest')).sha256).toBe(digestOf(content))
  })

  test('an image whose ETag changes while it is fetched', async () => {
    const {image} = await publish(lab.server, 'arch:latest', {content, key})
    const file = lab.server.files.get(image)
    if (!file) throw new Error(image)
    file.etag = '"one"'
    file.cutAfter = [20_000]
    const timer = setInterval(() => {
      if (lab.asked(image) > 0) file.etag = '"two"'
    }, 1)
    expect((await ensure('arch:latest').finally(() => clearInterval(timer))).sha256).toBe(digestOf(content))
  })
})

test('a list that comes over https is worth a checksum, and a declared digest the same', async () => {
  const {secure, ca} = await lab.startSecureServer()
  const {image} = await publish(secure, 'rocky:10', {content, key})
  const store: ImageStore = {
    ...lab.scratch.store,
    sources: [createHttpSource({ca})],
    resolve: createResolver({
      catalogue: async () => ({publishers: publishersAt(secure.origin, key), mirrors: []}),
      keyDirectory: imageFiles.keys(lab.scratch.store),
      ca,
    }),
  }
  const options = {signal: AbortSignal.timeout(20_000)}
  await ensureImage(store, referenceTo('rocky:10'), options)
  expect(await listImages(store)).toMatchObject([{source: 'rocky:10', trust: 'checksum'}])
  const byUrl = {kind: 'url', source: `${secure.origin}${image}?again`, format: 'raw'} as const
  await ensureImage(store, byUrl, options)
  await ensureImage(store, {...byUrl, source: `${byUrl.source}-pinned`, sha256: digestOf(content)}, options)
  const levels = (await listImages(store)).map(({trust}) => trust ?? '')
  expect(levels.toSorted((left, right) => left.localeCompare(right))).toEqual(['checksum', 'checksum', 'none'])
})

describe('mirrors', () => {
  const mirror = (isComplete: boolean): readonly Mirror[] => [{publisher: 'rocky', origin: `${lab.server.origin}/near/rocky`, isComplete}]

  test("have the image; the list is the publisher's", async () => {
    const {image, list} = await publish(lab.server, 'rocky:10', {content, key})
    const file = lab.server.files.get(image)
    if (file) lab.server.files.set(`/near${image}`, file)
    lab.server.files.delete(image)
    await ensure('rocky:10', {mirrors: mirror(false)})
    expect([lab.asked(`/near${image}`), lab.asked(list), lab.asked(`/near${list}`)]).toEqual([1, 1, 0])
  })

  test.each<[string, Partial<ServedFile> | undefined, number]>([
    ['has it not', undefined, 1],
    ['has other bytes', {content: makeRawDisk(64 * 1024, 9)}, 1],
    ['answers with a page and status 200', {content: Buffer.from('<!DOCTYPE html><h1>Moved</h1>')}, 1],
    ['compresses it', {headers: {'content-encoding': 'gzip'}}, 1],
    ['redirects in a circle', {redirectsTo: '/near/rocky/circle'}, 1],
    ['is busy', {statuses: [503, 503, 503]}, 2],
    ['does not answer', {delayMs: 60_000}, 2],
    ['stands still', {stallsAfter: 100}, 2],
  ])('one that %s is passed over, and that is told', async (_what, fault, lines) => {
    const {image, list} = await publish(lab.server, 'rocky:10', {content, key})
    lab.server.files.set('/near/rocky/circle', {content, redirectsTo: '/near/rocky/circle'})
    if (fault) lab.server.files.set(`/near${image}`, {content, ...fault})
    const told: string[] = []
    const image10 = await ensure('rocky:10', {mirrors: mirror(false), told, sourceLimits: {idleTimeoutMs: 400}})
    expect(image10.sha256).toBe(digestOf(content))
    expect(await listImages(lab.scratch.store)).toHaveLength(1)
    expect(lab.asked(`/near${list}`)).toBe(0)
    expect(told).toHaveLength(lines)
    expect(told.at(-1)).toMatch(/^[^\n]+ Trying the publisher\.$/)
  })

  test('several are asked in their order, and what one has cut short the next goes on with', async () => {
    const {image} = await publish(lab.server, 'rocky:10', {content, key})
    const origins = ['far', 'near'].map((place) => ({publisher: 'rocky', origin: `${lab.server.origin}/${place}/rocky`, isComplete: false}))
    lab.server.files.set(`/near${image}`, {content, cutAfter: [40_000, 0, 0]})
    const told: string[] = []
    await ensure('rocky:10', {mirrors: origins, told})
    expect([told[0], told.at(-1)]).toEqual([
      expect.stringMatching(/ 404 .* Trying the next mirror\.$/) as unknown,
      expect.stringMatching(/ Trying the publisher\.$/) as unknown,
    ])
    const [rest] = lab.server.requests.filter(({path}) => path === image)
    expect(rest?.headers.range).toMatch(/^bytes=[1-9]\d+-$/)
  })

  test('a complete one is asked for everything', async () => {
    const {image, list} = await publish(lab.server, 'rocky:10', {content, key})
    for (const path of [image, list]) {
      const file = lab.server.files.get(path)
      if (file) lab.server.files.set(`/near${path}`, file)
      lab.server.files.delete(path)
    }
    expect((await ensure('rocky:10', {mirrors: mirror(true)})).sha256).toBe(digestOf(content))
  })
})

test('a qcow2 image is stored as what it is', async () => {
  const qcow2 = makeImage(lab.scratch.path, 'qcow2')
  await publish(lab.server, 'debian:12', {content: qcow2, key})
  const {format: _format, ...reference} = referenceTo('debian:12')
  const image = await ensureImage(storeFor(), reference, {signal: AbortSignal.timeout(20_000)})
  expect(image).toMatchObject({format: 'qcow2', virtualSizeBytes: 64 * 2 ** 20, sha256: digestOf(qcow2)})
})

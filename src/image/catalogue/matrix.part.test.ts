import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {buffer} from 'node:stream/consumers'
import {gzipSync} from 'node:zlib'

import {pack} from 'tar-stream'
import {beforeAll, describe, expect, test} from 'vitest'

import {useImageLab} from '../../../test/support/image-lab.ts'
import type {ImageServer, ServedFile} from '../../../test/support/image-server.ts'
import {digestOf, makeRawDisk, through} from '../../../test/support/images.ts'
import {
  makeKey,
  type Publication,
  publish,
  publishedNames,
  publishersAt,
  signClear,
  signDetached,
  type TestKey,
} from '../../../test/support/publishers.ts'
import {builtInCatalogue} from '../../model/catalogue-entries.ts'
import {findCatalogueImage, referenceOf} from '../../model/catalogue.ts'
import {isVmctlError} from '../../model/errors.ts'
import {ensureImage} from '../cache.ts'
import {createHttpSource} from '../http.ts'
import type {HttpOptions} from '../http-client.ts'
import {imageFiles, type ImageStore} from '../image-store.ts'
import {createResolver} from './resolve.ts'

/*
 * Every publisher's layout, and every fault of every file of it: the result is right, or an error that says what is wrong. Nothing
 * wrong enters the cache, and nothing of the fault is left when the server has been repaired.
 */

const lab = useImageLab()

let key: TestKey
let stranger: TestKey
beforeAll(async () => {
  ;[key, stranger] = await Promise.all([makeKey(), makeKey()])
})

const sizeBytes = 48 * 1024
const contentOf = (name: string): Buffer => makeRawDisk(sizeBytes, 1 + publishedNames.indexOf(name))
const packed = async (name: string, disk: Buffer): Promise<Buffer> => {
  if (name.startsWith('freebsd')) return through(disk, 'xz')
  if (!name.startsWith('kali')) return disk
  const tar = pack()
  tar.entry({name: 'disk.raw'}, disk)
  tar.finalize()
  return through(await buffer(tar), 'xz')
}

/** As its publisher has it. */
const published = new Map(await Promise.all(publishedNames.map(async (name) => [name, await packed(name, contentOf(name))] as const)))

const signatureOf = (name: string) => findCatalogueImage(builtInCatalogue, name)?.publisher.signature
const formOf = (name: string): 'none' | 'detached' | 'clearsigned' => {
  const signature = signatureOf(name)
  return signature && signature.form !== 'minisign' ? signature.form : 'none'
}

const storeAt = ({origin}: ImageServer, http: HttpOptions): ImageStore => {
  const quick = {retries: 1, retryDelayMs: 1, idleTimeoutMs: 5000, ...http}
  return {
    ...lab.scratch.store,
    sources: [createHttpSource(quick)],
    resolve: createResolver({
      ...quick,
      catalogue: async () => ({publishers: publishersAt(origin, key), mirrors: []}),
      keyDirectory: imageFiles.keys(lab.scratch.store),
    }),
  }
}

/** `right`, or the code of the error. Nobody but a person can tell whether a message is good; it must be one line and name a place. */
const outcomeOf = async (store: ImageStore, name: string): Promise<string> => {
  const image = findCatalogueImage(builtInCatalogue, name)
  if (!image) throw new Error(name)
  try {
    const {path} = await ensureImage(store, {...referenceOf(image), format: 'raw'}, {signal: AbortSignal.timeout(30_000)})
    return readFileSync(path).equals(contentOf(name)) ? 'right' : 'wrong'
  } catch (error) {
    if (!isVmctlError(error)) throw error
    expect(error.message).toMatch(/^[^\n]*\b(?:127\.0\.0\.1|[Ss]ignature|[Kk]ey)\b[^\n]*$/)
    return error.code.replace('vmctl::image::', '')
  }
}

type Part = 'image' | 'list' | 'signature' | 'listing'
type Outcome =
  | 'right'
  | 'download_failed'
  | 'checksum_mismatch'
  | 'signature_invalid'
  | 'key_unusable'
  | 'decompression_failed'
  | 'no_space'
type Spoil = (file: ServedFile, name: string) => Partial<ServedFile> | 'gone' | Promise<Partial<ServedFile>>

interface Fault {
  readonly what: string
  readonly spoil: Spoil
  /** One for all, or by how the publisher signs. */
  readonly outcome: Outcome | Readonly<Record<'none' | 'detached' | 'clearsigned', Outcome>>
  readonly http?: HttpOptions
}

const impatient = {idleTimeoutMs: 150}
const page = Buffer.from('<!DOCTYPE html><html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>')
const bySignature = (none: Outcome, signed: Outcome) => ({none, detached: signed, clearsigned: signed})

/** What happens to any file, whatever is in it. */
const anyFile: readonly Fault[] = [
  {what: 'is not there', spoil: () => 'gone', outcome: 'download_failed'},
  {what: 'is forbidden', spoil: () => ({statuses: [403, 403]}), outcome: 'download_failed'},
  {what: 'is there at the second attempt', spoil: () => ({statuses: [503]}), outcome: 'right'},
  {what: 'is cut once', spoil: ({content}) => ({cutAfter: [Math.floor(content.length / 2)]}), outcome: 'right'},
  {what: 'comes in chunks', spoil: () => ({framing: 'chunked'}), outcome: 'right'},
  {what: 'stands still', spoil: () => ({stallsAfter: 10}), outcome: 'download_failed', http: impatient},
  {what: 'comes a byte at a time', spoil: () => ({stallsAfter: 10, tricklesMs: 20}), outcome: 'download_failed', http: impatient},
  {
    what: 'says that it is compressed',
    spoil: ({content}) => ({content: gzipSync(content), headers: {'content-encoding': 'gzip'}}),
    outcome: 'download_failed',
  },
  {
    what: 'is longer than it says',
    spoil: ({content}) => ({content: Buffer.concat([content, Buffer.from('\nmore')]), claimsLength: content.length}),
    outcome: 'right',
  },
  {
    what: 'is shorter than it says',
    spoil: ({content}) => ({claimsLength: content.length + 10}),
    outcome: 'download_failed',
    http: impatient,
  },
]

const faults: Readonly<Record<Part, readonly Fault[]>> = {
  image: [
    ...anyFile,
    {what: 'is cut, and the server knows no ranges', spoil: () => ({cutAfter: [20_000], ignoresRange: true}), outcome: 'right'},
    {
      what: 'is cut, and has another ETag then',
      spoil: () => ({cutAfter: [20_000], etag: '"one"', answers: [{}, {etag: '"two"'}]}),
      outcome: 'right',
    },
    {
      what: 'is cut, and is another file of the same ETag then',
      spoil: ({content}) => ({
        cutAfter: [20_000],
        cutGraceMs: 1500,
        etag: '"one"',
        answers: [{}, {content: Buffer.from(content).fill(7, content.length - 1000)}],
      }),
      outcome: 'right',
    },
    {what: 'has no end but that of the connection', spoil: () => ({framing: 'close'}), outcome: 'right'},
    {what: 'has other bytes', spoil: () => ({content: makeRawDisk(sizeBytes, 99)}), outcome: 'checksum_mismatch'},
    {what: 'is half of it', spoil: ({content}) => ({content: content.subarray(0, content.length / 2)}), outcome: 'checksum_mismatch'},
    {what: 'is empty', spoil: () => ({content: Buffer.alloc(0)}), outcome: 'checksum_mismatch'},
    {what: 'is a page with status 200', spoil: () => ({content: page}), outcome: 'checksum_mismatch'},
    {what: 'says that it is endless', spoil: () => ({claimsLength: 2 ** 50}), outcome: 'no_space'},
  ],
  list: [
    ...anyFile,
    {
      what: 'has another digest',
      spoil: ({content}) => ({content: Buffer.from(otherDigests(content.toString()))}),
      outcome: bySignature('checksum_mismatch', 'signature_invalid'),
    },
    {what: 'is a page with status 200', spoil: () => ({content: page}), outcome: bySignature('download_failed', 'signature_invalid')},
    {what: 'is empty', spoil: () => ({content: Buffer.alloc(0)}), outcome: bySignature('download_failed', 'signature_invalid')},
    {
      what: 'is cut off with the right length',
      spoil: ({content}) => ({content: content.subarray(0, content.length / 4)}),
      outcome: bySignature('download_failed', 'signature_invalid'),
    },
    {
      what: 'is an old one at the first request',
      // Without a signature nobody can tell.
      spoil: ({content}, name) =>
        formOf(name) === 'none' ? {} : {answers: [{content: Buffer.concat([content, Buffer.from('\n# old\n')])}]},
      outcome: 'right',
    },
    {what: 'is endless', spoil: () => ({content: Buffer.alloc(5 * 2 ** 20, 'a')}), outcome: 'download_failed'},
  ],
  signature: [
    {what: 'is not there', spoil: () => 'gone', outcome: 'signature_invalid'},
    {what: 'cannot be had', spoil: () => ({statuses: [500, 500]}), outcome: 'download_failed'},
    {what: 'is cut once', spoil: ({content}) => ({cutAfter: [content.length / 2]}), outcome: 'right'},
    {what: 'stands still', spoil: () => ({stallsAfter: 10}), outcome: 'download_failed', http: impatient},
    {what: 'is empty', spoil: () => ({content: Buffer.alloc(0)}), outcome: 'signature_invalid'},
    {what: 'is a page with status 200', spoil: () => ({content: page}), outcome: 'signature_invalid'},
    {what: 'is cut off', spoil: ({content}) => ({content: content.subarray(0, content.length / 2)}), outcome: 'signature_invalid'},
    {
      what: 'is of another text',
      spoil: async () => ({content: Buffer.from(await signDetached('other', key))}),
      outcome: 'signature_invalid',
    },
    {
      what: 'is of a stranger',
      spoil: async (_, name) => ({content: Buffer.from(await signDetached(listText(name), stranger))}),
      outcome: 'signature_invalid',
    },
  ],
  listing: [
    ...anyFile.filter(({what}) => what !== 'is longer than it says'),
    {what: 'has no build', spoil: () => ({content: Buffer.from('<a href="latest/">latest/</a>')}), outcome: 'download_failed'},
    {what: 'is empty', spoil: () => ({content: Buffer.alloc(0)}), outcome: 'download_failed'},
  ],
}

/** Every digest in a list becomes another one. */
const otherDigests = (text: string): string =>
  text
    .replaceAll(/\b[0-9a-fA-F]{64}(?:[0-9a-fA-F]{64})?\b/g, (digest) =>
      digest.replaceAll(/[0-9a-f]/gi, (digit) => (digit === '1' ? '2' : '1')),
    )
    .replaceAll(/sha512:[A-Za-z0-9+/]{86}/g, `sha512:${'A'.repeat(86)}`)

/** Of the server as it was published. */
let lists = new Map<string, string>()
const listText = (name: string): string => lists.get(name) ?? ''

const publishAll = async (server: ImageServer): Promise<ReadonlyMap<string, Publication>> => {
  const publications = new Map<string, Publication>()
  for (const name of publishedNames)
    publications.set(name, await publish(server, name, {content: published.get(name) ?? Buffer.alloc(0), key}))
  lists = new Map([...publications].map(([name, {list}]) => [name, server.files.get(list)?.content.toString() ?? '']))
  return publications
}

const damage = async (server: ImageServer, path: string, spoilt: Awaited<ReturnType<Spoil>>): Promise<void> => {
  const file = server.files.get(path)
  if (!file) throw new Error(path)
  if (spoilt === 'gone') server.files.delete(path)
  else server.files.set(path, {...file, ...spoilt})
}

/** Whatever a VM could be made from is what a publisher has published. */
const expectOnlyRight = (): void => {
  const right = new Set(publishedNames.map((name) => digestOf(contentOf(name))))
  const cached = lab.cachedDisks().map((file) => digestOf(readFileSync(join(lab.scratch.store.directory, file))))
  expect(cached.filter((digest) => !right.has(digest))).toEqual([])
}

describe.each(Object.entries(faults) as [Part, readonly Fault[]][])('the %s', (part, ofPart) => {
  test.each(ofPart)('$what', async ({spoil, outcome, http = {}}) => {
    const {server} = lab
    const publications = await publishAll(server)
    const affected = publishedNames.filter((name) => publications.get(name)?.[part] !== undefined)
    expect(affected.length).toBeGreaterThan(2)
    const paths = new Map(affected.map((name) => [publications.get(name)?.[part] ?? '', name]))
    for (const [path, name] of paths) await damage(server, path, await spoil(server.files.get(path) as ServedFile, name))
    const outcomes = await Promise.all(affected.map(async (name) => [name, await outcomeOf(storeAt(server, http), name)]))
    expect(outcomes).toEqual(affected.map((name) => [name, typeof outcome === 'string' ? outcome : outcome[formOf(name)]]))
    expectOnlyRight()
    await publishAll(server)
    const repaired = await Promise.all(affected.map(async (name) => [name, await outcomeOf(storeAt(server, {}), name)]))
    expect(repaired).toEqual(affected.map((name) => [name, 'right']))
  })
})

describe('redirects', () => {
  test.each(['image', 'list'] as const)('of the %s to another server are followed, a loop is not', async (part) => {
    const {server} = lab
    const publications = [...(await publishAll(server))]
    for (const [name, publication] of publications) {
      const path = publication[part]
      server.files.set(`/elsewhere/${name}`, server.files.get(path) as ServedFile)
      server.files.set(path, {
        content: Buffer.alloc(0),
        redirectsTo: `${server.origin.replace('127.0.0.1', 'localhost')}/elsewhere/${name}`,
      })
    }
    const store = storeAt(server, {})
    for (const [name] of publications) expect([name, await outcomeOf(store, name)]).toEqual([name, 'right'])
    lab.renewCache()
    for (const [, publication] of publications)
      server.files.set(publication[part], {content: Buffer.alloc(0), redirectsTo: publication[part]})
    for (const [name] of publications) expect([name, await outcomeOf(storeAt(server, {}), name)]).toEqual([name, 'download_failed'])
    expect(lab.cachedDisks()).toEqual([])
  })

  test.each(['image', 'list'] as const)('of the %s from https to http are not followed', async (part) => {
    const {secure, ca} = await lab.startSecureServer()
    const publications = [...(await publishAll(secure))]
    for (const [, publication] of publications) {
      const path = publication[part]
      lab.server.files.set(path, secure.files.get(path) as ServedFile)
      secure.files.set(path, {content: Buffer.alloc(0), redirectsTo: `${lab.server.origin}${path}`})
    }
    for (const [name] of publications) expect([name, await outcomeOf(storeAt(secure, {ca}), name)]).toEqual([name, 'download_failed'])
    expect(lab.server.requests).toEqual([])
    expect(lab.cachedDisks()).toEqual([])
  })
})

test('a clear-signed list of a stranger is none', async () => {
  const {server} = lab
  const publications = await publishAll(server)
  for (const name of publishedNames.filter((one) => formOf(one) === 'clearsigned')) {
    const {list = ''} = publications.get(name) ?? {}
    server.files.set(list, {content: Buffer.from(await signClear(listText(name), stranger))})
    expect([name, await outcomeOf(storeAt(server, {}), name)]).toEqual([name, 'signature_invalid'])
  }
  expect(lab.cachedDisks()).toEqual([])
})

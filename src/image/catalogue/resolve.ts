import {
  architectures,
  type CatalogueImage,
  type CatalogueLayout,
  findCatalogueImage,
  isPublishedFor,
  type Mirror,
  type Publisher,
  type Trust,
} from '../../model/catalogue.ts'
import {isFailure, VmctlError} from '../../model/errors.ts'
import type {ImageReference} from '../../model/vm.ts'
import {type ExpectedDigests, listedNames, parseChecksumFile} from '../checksum.ts'
import {type HttpOptions, openHttpClient} from '../http-client.ts'
import {readBytes, readIfPublished, type RequestOptions} from '../http-text.ts'
import type {ResolvedForOther, ResolvedImage, ResolveName} from '../image-store.ts'
import {imageOfDebian, imageOfOracle} from './publisher-json.ts'
import {readSignedList, type VouchedList} from './vouch.ts'
import {fill, fillPattern, newestMatch, type Words} from './words.ts'

export interface Catalogue {
  readonly publishers: readonly Publisher[]
  readonly mirrors: readonly Mirror[]
}

export interface ResolverOptions extends HttpOptions {
  /** Read at the first name, so that commands without images do not pay for it. */
  readonly catalogue: () => Promise<Catalogue>
  /** Where keys of publishers are kept. */
  readonly keyDirectory: string
}

/** Looks names up at their publishers: first the dated file with its digest, from a list that is verified; the file itself is fetched later. */
export const createResolver =
  (options: ResolverOptions): ResolveName =>
  async (reference, {signal, onNotice}) => {
    const catalogue = await options.catalogue()
    const image = chosen(catalogue, reference)
    await using client = await openHttpClient(options)
    const requests = {...options, client, signal}
    const own = catalogue.mirrors.filter(({publisher}) => publisher === image.publisher.name)
    const origin = own.find(({isComplete}) => isComplete)?.origin ?? image.release.origin ?? image.publisher.origin
    const mirrors = own.filter(({isComplete}) => !isComplete).map((mirror) => mirror.origin)
    const job = {image, reference, origin, mirrors, requests, keyDirectory: options.keyDirectory, onNotice, known: nothingKnown()}
    const resolved = await resolveImage(job)
    return {...resolved, others: await othersOf(job)}
  }

/** What has been read for one image, in full, and may serve for another processor. */
interface Known {
  readonly texts: Map<string, Promise<Buffer>>
  readonly lists: Map<string, Promise<VouchedList>>
  /** Whether nothing else may be read. */
  isAll: boolean
}

const nothingKnown = (): Known => ({texts: new Map(), lists: new Map(), isAll: false})

const once = <T>(
  known: Map<string, Promise<T>>,
  {url, isAll}: {readonly url: URL; readonly isAll: boolean},
  read: () => Promise<T>,
): Promise<T> => {
  const there = known.get(url.href)
  if (there) return there
  if (isAll) return Promise.reject(new Error(`${url.href} was not read.`))
  const reading = read()
  known.set(url.href, reading)
  return reading
}

/** The same release for other processors, as far as that was on the pages which have been read. */
const othersOf = async (job: Job): Promise<readonly ResolvedForOther[]> => {
  job.known.isAll = true
  const own = job.reference.architecture ?? 'x86_64'
  const found = await Promise.allSettled(
    architectures
      .filter((architecture) => architecture !== own && !job.image.publisher.imagePerFirmware && isPublishedFor(job.image, architecture))
      .map(async (architecture) => ({...(await resolveImage({...job, reference: {...job.reference, architecture}})), architecture})),
  )
  return found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
}

interface Job {
  readonly image: CatalogueImage
  readonly reference: ImageReference
  readonly origin: string
  /** Where the file may be as well, and nothing else is taken from. */
  readonly mirrors: readonly string[]
  readonly requests: RequestOptions
  readonly keyDirectory: string
  readonly onNotice: (message: string) => void
  readonly known: Known
}

const chosen = ({publishers}: Catalogue, {source, architecture = 'x86_64'}: ImageReference): CatalogueImage => {
  const image = findCatalogueImage(publishers, source)
  if (!image) {
    throw new VmctlError('vmctl::image::not_found', `There is no image named ${source} in the catalogue.`, {
      help: 'Run `vmctl image search` to see the names.',
    })
  }
  if (isPublishedFor(image, architecture)) return image
  throw new VmctlError('vmctl::image::not_found', `${image.publisher.title} publishes no ${source} for ${architecture}.`, {
    help: `Run \`vmctl image search ${image.publisher.name}\` to see for which processors there are images.`,
  })
}

const resolveImage = async (job: Job): Promise<ResolvedImage> => {
  const {publisher} = job.image
  const words = wordsOf(job)
  const {layout} = publisher
  const {path, digests, trust} = layout.kind === 'list' ? await fromList(job, layout, words) : await fromJson(job, layout, words)
  return {
    urls: [...job.mirrors, job.origin].map((place) => under(place, path).href),
    digests,
    trust,
  }
}

const wordsOf = ({image: {publisher, release}, reference}: Job): Words => ({
  tag: release.tag,
  arch: publisher.architectures[reference.architecture ?? 'x86_64'] ?? '',
  firmware: reference.firmware ?? (reference.architecture === undefined || reference.architecture === 'x86_64' ? 'bios' : 'uefi'),
  ...release.words,
})

interface Found {
  /** From the origin. */
  readonly path: string
  readonly digests: ExpectedDigests
  readonly trust: Trust
}

const fromJson = async (job: Job, layout: Exclude<CatalogueLayout, {kind: 'list'}>, words: Words): Promise<Found> => {
  const url = under(job.origin, fill(layout.at, words))
  const text = await text8(url, job)
  const found = layout.kind === 'debian-json' ? imageOfDebian(text, layout.folder) : imageOfOracle(text)
  if (!found) throw unlisted(url, `an image of ${job.image.name}`)
  return {...found, trust: httpsTrust(url)}
}

const fromList = async (job: Job, layout: Extract<CatalogueLayout, {kind: 'list'}>, release: Words): Promise<Found> => {
  let words = release
  if (layout.index) {
    const url = under(job.origin, fill(layout.index.at, words))
    const groups = newestMatch(await text8(url, job), layout.index.find, words)
    if (!groups) throw unlisted(url, `an image of ${job.image.name}`)
    words = {...words, ...groups}
  }
  const listUrl = under(job.origin, fill(layout.list, words))
  const {text, trust} = await listAt(job, listUrl, words)
  if (layout.pick !== undefined) {
    const pattern = fillPattern(`^(?<file>${layout.pick})$`, words)
    const names = listedNames(text).filter((name) => pattern.test(name))
    const groups = newestMatch(names.join('\n'), `(?<=^|\n)(?<file>${layout.pick})(?=\n|$)`, words)
    if (!groups) throw unlisted(listUrl, `an image of ${job.image.name}`)
    words = {...words, ...groups}
  }
  const path = fill(layout.image, words)
  return {path, digests: digestsOf(text, path.slice(path.lastIndexOf('/') + 1), listUrl), trust}
}

/** Here it is not the user who has named a list without the file. */
const digestsOf = (text: string, name: string, listUrl: URL): ExpectedDigests => {
  try {
    return parseChecksumFile(text, name, listUrl.href)
  } catch (error) {
    if (!isFailure(error, 'vmctl::image::checksum_mismatch')) throw error
    throw new VmctlError('vmctl::image::download_failed', error.message, {help: movedHelp, details: {url: listUrl.href}})
  }
}

const listAt = (job: Job, url: URL, words: Words): Promise<VouchedList> =>
  once(job.known.lists, {url, isAll: job.known.isAll}, () => readList(job, url, words))

const readList = async (job: Job, listUrl: URL, words: Words): Promise<VouchedList> => {
  const {publisher, release} = job.image
  const {signature} = publisher
  if (!signature) return {text: await listText(listUrl, job), trust: httpsTrust(listUrl)}
  return readSignedList({
    signature,
    fingerprints: release.keys ?? publisher.keys ?? [],
    by: publisher.title,
    words,
    listUrl,
    ...(signature.form !== 'clearsigned' && {signatureUrl: under(job.origin, fill(signature.at, words))}),
    keyDirectory: job.keyDirectory,
    read: (url) => readBytes(url, job.requests),
    readIfPublished: (url) => readIfPublished(url, job.requests),
    onNotice: job.onNotice,
  })
}

const text8 = async (url: URL, {requests, known}: Job): Promise<string> =>
  (await once(known.texts, {url, isAll: known.isAll}, () => readBytes(url, requests))).toString('utf8')

/** Some servers answer with a page that says "not found" and the status 200. */
const listText = async (url: URL, job: Job): Promise<string> => {
  const text = await text8(url, job)
  if (/^\s*</.test(text)) throw unlisted(url, 'checksums; it is a web page')
  return text
}

const movedHelp =
  'The publisher may have moved it: a newer vmctl may know where, and `images.kdl` in the configuration directory can say it.'

const unlisted = (url: URL, what: string): VmctlError =>
  new VmctlError('vmctl::image::download_failed', `${url.href} does not list ${what}.`, {
    help: movedHelp,
    details: {url: url.href},
  })

const httpsTrust = ({protocol}: URL): Trust => ({level: protocol === 'https:' ? 'checksum' : 'none'})

/** A path below an origin, which no word that was found on the way can lead out of. */
const under = (origin: string, path: string): URL => {
  const base = new URL(`${origin}/`)
  const url = new URL(`${base.href}${path}`)
  if (url.href.startsWith(base.href)) return url
  throw new VmctlError('vmctl::image::download_failed', `A list of ${base.href} names a file that is not below it.`)
}

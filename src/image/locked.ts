import {createHash} from 'node:crypto'

import {acquireLock} from '../host/lock.ts'
import {isFailure} from '../model/errors.ts'
import type {LockedDigests} from '../model/lock.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import {adapt} from './adapt-entry.ts'
import {entriesOfBuild} from './cached-build.ts'
import {fetchEntry} from './fetch-entry.ts'
import {cachedImage} from './find-entry.ts'
import {type ImageSource, sourceFor} from './image-source.ts'
import {type EnsuredImage, type EnsureOptions, imageFiles, type ImageStore, type Locked} from './image-store.ts'
import {fetchFirst, nameKey} from './named.ts'
import {sweepPartials} from './sweep.ts'
import {trustOfUrl} from './trust.ts'
import {displayUrl, parseImageUrl, urlKey} from './url.ts'

/** What is asked of the bytes of a locked build: its digests, and those that the user declares; no list is asked any more. */
export const lockedReference = ({checksumUrl: _listed, ...reference}: ImageReference, digests: LockedDigests): ImageReference => ({
  ...digests,
  ...reference,
})

/**
 * One certain build: from the cache whatever it was fetched for, without asking anybody; else from the places where it may be.
 * @throws VmctlError `vmctl::image::download_failed`, `vmctl::image::checksum_mismatch` when no place has it any more
 */
export const ensureLockedImage = async (
  store: ImageStore,
  reference: ImageReference,
  options: EnsureOptions & {readonly locked: Locked},
): Promise<EnsuredImage> => {
  const {locked} = options
  const wanted = lockedReference(reference, locked.digests)
  const url = reference.kind === 'url' ? parseImageUrl(reference.source) : undefined
  const source = url ? displayUrl(url) : reference.source
  // Any entry will do: what counts is the digest.
  const anywhere = {reference: wanted, key: '', source}
  const early = await cachedImage(store, anywhere, options)
  if (early) return early
  const key = url ? urlKey(url, reference.architecture) : buildKey(reference, locked.digests)
  await using _lock = await acquireLock(imageFiles.fetchLock(store, key), {
    purpose: `fetching ${source}`,
    timeoutMs: Infinity,
    signal: options.signal,
    onWait: (holder) => options.onEvent?.({type: 'image.waiting', source, holder}),
  })
  const late = (await cachedImage(store, anywhere, options)) ?? (await inOtherFormat(store, {wanted, locked}, options))
  if (late) return late
  await sweepPartials(store, key)
  try {
    const image = url
      ? await fetchUrl(store, {key, reference, wanted, source, place: locked.urls[0]}, options)
      : await fetchFirst(store, {key, reference, resolved: {...locked, digests: digestsOf(wanted), trust: {level: 'checksum'}}}, options)
    return {image, source, isFresh: true}
  } catch (error) {
    throw gone(error, source)
  }
}

interface UrlJob {
  readonly key: string
  readonly reference: ImageReference
  readonly wanted: ImageReference
  readonly source: string
  /** Where the very build is, when that is another place than the URL. */
  readonly place: string | undefined
}

const fetchUrl = (store: ImageStore, {key, reference, wanted, source, place}: UrlJob, options: EnsureOptions): Promise<BaseImage> => {
  const url = parseImageUrl(place ?? reference.source)
  const from = {imageSource: sourceFor(store.sources, url), key, url, ...(place !== undefined && {source})}
  const job = {...from, reference: place === undefined ? wanted : {...wanted, source: place}, verifiedBy: [], trust: trustOfUrl(reference)}
  return fetchEntry(store, job, options)
}

/** An old build is not what a name means to those who have not locked it: it has a key of its own. */
const buildKey = (reference: ImageReference, {sha256 = '', sha512 = ''}: LockedDigests): string =>
  createHash('sha256')
    .update(`build ${nameKey(reference)} ${sha256} ${sha512}`)
    .digest('hex')

const digestsOf = ({sha256, sha512}: ImageReference): LockedDigests => ({
  ...(sha256 !== undefined && {sha256}),
  ...(sha512 !== undefined && {sha512}),
})

/** Bytes that are here and were taken for a disk of another format. */
const inOtherFormat = async (
  store: ImageStore,
  {wanted, locked}: {readonly wanted: ImageReference; readonly locked: Locked},
  options: EnsureOptions,
): Promise<EnsuredImage | undefined> =>
  options.fresh || (await entriesOfBuild(store, locked.digests)).length === 0
    ? undefined
    : adapt(store, {reference: wanted, imageSource: silent, key: ''}, options)

/** Nobody is asked for what is here. */
const silent: ImageSource = {schemes: [], fetch: () => Promise.reject(new Error('Nothing is fetched here.'))}

const gone = (error: unknown, source: string): unknown => {
  if (isFailure(error, 'vmctl::image::download_failed'))
    return error.reword({
      help: `Check the network connection. If the locked build is not published any more, \`vmctl image update\` locks the one that is.`,
    })
  if (!isFailure(error, 'vmctl::image::checksum_mismatch')) return error
  return error.reword({
    help: `${source} is not what is locked: it has changed where it is published. \`vmctl image update\` locks what is there now; nothing was kept.`,
  })
}

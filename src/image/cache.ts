import {makePrivateDirectory} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import type {LockedDigests} from '../model/lock.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import {adapt} from './adapt-entry.ts'
import {readEntries} from './entries.ts'
import {fetchEntry} from './fetch-entry.ts'
import {ensureLocalImage, findLocalImage} from './file.ts'
import {cachedImage, findExact, verifierOf} from './find-entry.ts'
import {type ImageSource, sourceFor} from './image-source.ts'
import {type EnsuredImage, type EnsureOptions, imageFiles, type ImageStore} from './image-store.ts'
import {ensureLockedImage, lockedReference} from './locked.ts'
import {ensureNamedImage, nameKey} from './named.ts'
import {sweepPartials} from './sweep.ts'
import {isOci, trustOf, trustOfUrl} from './trust.ts'
import {displayUrl, parseImageUrl, urlKey} from './url.ts'

/**
 * Makes an image usable: from the cache when it is there, else fetched, verified, decompressed, audited and stored. A local image
 * stays where it is unless it is compressed. Any number of processes may ask at once; one fetches, the others wait for it.
 * @throws VmctlError `vmctl::image::…` and `vmctl::qemu::not_installed`; nothing incomplete is ever stored
 */
export const ensureImage = async (store: ImageStore, reference: ImageReference, options: EnsureOptions): Promise<BaseImage> => {
  options.signal.throwIfAborted()
  for (const directory of [imageFiles.refs(store), imageFiles.partials(store), store.lockDirectory]) await makePrivateDirectory(directory)
  const {locked} = options
  const {image, source, isFresh} = locked
    ? await ensureLockedImage(store, reference, {...options, locked})
    : await ensure[reference.kind](store, reference, options)
  const verifiedBy = locked ? 'the lock file' : await checkOf(store, reference)
  options.onEvent?.({type: 'image.ready', source, path: image.path, isFresh, ...(verifiedBy !== undefined && {verifiedBy})})
  return image
}

/** What an image was compared with, for people. */
const checkOf = async (store: ImageStore, reference: ImageReference): Promise<string | undefined> => {
  const {kind, sha256, sha512, checksumUrl} = reference
  if (kind === 'name') return checkOfName(store, reference)
  if (sha256 !== undefined || sha512 !== undefined) return sha256 === undefined ? 'its sha512' : 'its sha256'
  if (isOci(reference)) return trustOfUrl(reference).level === 'none' ? undefined : 'the digest of its manifest'
  return checksumUrl === undefined ? undefined : displayUrl(parseImageUrl(checksumUrl))
}

const checkOfName = async (store: ImageStore, reference: ImageReference): Promise<string | undefined> => {
  const {entries} = await readEntries(store, nameKey(reference))
  const found = await findExact(store, entries, reference)
  const trust = found && trustOf(found.entry)
  if (trust?.level === 'signed') return `the signature of ${trust.by}`
  return trust?.level === 'checksum' ? 'the checksum of its publisher' : undefined
}

/** The image, if it can be used now: no network, no lock, nothing written. Undefined also for one that is unusable; `ensureImage` says why. */
export const findImage = async (store: ImageStore, reference: ImageReference, locked?: LockedDigests): Promise<BaseImage | undefined> => {
  if (reference.kind === 'file') return findLocalImage(store, reference)
  if (locked) return (await findExact(store, (await readEntries(store)).entries, lockedReference(reference, locked)))?.image
  const key = reference.kind === 'name' ? nameKey(reference) : urlKey(parseImageUrl(reference.source), reference.architecture)
  const {entries} = await readEntries(store, key)
  return (await findExact(store, entries, reference))?.image
}

const ensureRemoteImage = async (store: ImageStore, reference: ImageReference, asked: EnsureOptions): Promise<EnsuredImage> => {
  const url = parseImageUrl(reference.source)
  const imageSource = sourceFor(store.sources, url)
  const key = urlKey(url, reference.architecture)
  const options = (await hasMoved(store, {reference, imageSource, key}, asked)) ? {...asked, fresh: true} : asked
  const source = displayUrl(url)
  const wanted = {reference, key, source}
  const early = await cachedImage(store, wanted, options)
  if (early) return early
  await using _lock = await acquireLock(imageFiles.fetchLock(store, key), {
    purpose: `downloading ${source}`,
    timeoutMs: Infinity,
    signal: options.signal,
    onWait: (holder) => options.onEvent?.({type: 'image.waiting', source, holder}),
  })
  const late =
    (await cachedImage(store, wanted, options)) ?? (options.fresh ? undefined : await adapt(store, {reference, imageSource, key}, options))
  if (late) return late
  await sweepPartials(store, key)
  const job = {reference, imageSource, key, url, verifiedBy: verifierOf(reference), trust: trustOfUrl(reference)}
  return {image: await fetchEntry(store, job, options), source, isFresh: true}
}

/** Whether there is something newer under the same name, for those who ask for it. */
const hasMoved = async (
  store: ImageStore,
  {reference, imageSource, key}: {readonly reference: ImageReference; readonly imageSource: ImageSource; readonly key: string},
  options: EnsureOptions,
): Promise<boolean> => {
  if (!options.refresh || !imageSource.hasMoved) return false
  const found = await findExact(store, (await readEntries(store, key)).entries, reference)
  return found !== undefined && imageSource.hasMoved(reference, found.entry.published, options)
}

const ensure = {file: ensureLocalImage, url: ensureRemoteImage, name: ensureNamedImage} as const

import {makePrivateDirectory} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import {auditImage} from './audit.ts'
import {findMismatch} from './checksum.ts'
import {updateEntry} from './commit.ts'
import {baseImageOf, type CacheEntry, readEntries} from './entries.ts'
import {fetchEntry} from './fetch-entry.ts'
import {ensureLocalImage, findLocalImage} from './file.ts'
import {cachedImage, findExact, verifierOf} from './find-entry.ts'
import {type ImageSource, sourceFor} from './image-source.ts'
import {type EnsuredImage, type EnsureOptions, imageFiles, type ImageStore} from './image-store.ts'
import {ensureNamedImage, nameKey} from './named.ts'
import {sweepPartials} from './sweep.ts'
import {isOci, strongest, trustOf, trustOfUrl} from './trust.ts'
import {displayUrl, parseImageUrl, printableName, urlKey} from './url.ts'

/**
 * Makes an image usable: from the cache when it is there, else fetched, verified, decompressed, audited and stored. A local image
 * stays where it is unless it is compressed. Any number of processes may ask at once; one fetches, the others wait for it.
 * @throws VmctlError `vmctl::image::…` and `vmctl::qemu::not_installed`; nothing incomplete is ever stored
 */
export const ensureImage = async (store: ImageStore, reference: ImageReference, options: EnsureOptions): Promise<BaseImage> => {
  options.signal.throwIfAborted()
  for (const directory of [imageFiles.refs(store), imageFiles.partials(store), store.lockDirectory]) await makePrivateDirectory(directory)
  const {image, source, isFresh} = await ensure[reference.kind](store, reference, options)
  const verifiedBy = await checkOf(store, reference)
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
export const findImage = async (store: ImageStore, reference: ImageReference): Promise<BaseImage | undefined> => {
  if (reference.kind === 'file') return findLocalImage(store, reference)
  const key = reference.kind === 'name' ? nameKey(reference) : urlKey(parseImageUrl(reference.source), reference.architecture)
  const {entries} = await readEntries(store, key)
  return (await findExact(store, entries, reference))?.image
}

const ensureRemoteImage = async (store: ImageStore, reference: ImageReference, options: EnsureOptions): Promise<EnsuredImage> => {
  const url = parseImageUrl(reference.source)
  const imageSource = sourceFor(store.sources, url)
  const key = urlKey(url, reference.architecture)
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

interface RemoteJob {
  readonly reference: ImageReference
  readonly imageSource: ImageSource
  readonly key: string
}

/**
 * Makes an entry answer a reference that says more than the one it was fetched for: another format is audited again, a checksum
 * URL is asked for its list alone. Nothing is downloaded, as long as the publication is the same.
 */
const adapt = async (store: ImageStore, job: RemoteJob, options: EnsureOptions): Promise<EnsuredImage | undefined> => {
  const {reference, imageSource, key} = job
  const {entries} = await readEntries(store, key)
  const verifiers = verifierOf(reference)
  for (const entry of entries) {
    const image = await baseImageOf(store, entry)
    if (!image || !entry.disk || findMismatch(reference, entry.published)) continue
    if (!verifiers.every((verifier) => entry.verifiedBy.includes(verifier))) {
      const published = await imageSource.publishedDigests?.(reference, options)
      if (!published || findMismatch(published, entry.published)) continue
    }
    const audited = await auditImage(image.path, {declaredFormat: reference.format, signal: options.signal, source: entry.source})
    const adapted: CacheEntry = {
      ...entry,
      name: printableName(options.name ?? entry.name),
      verifiedBy: [...new Set([...entry.verifiedBy, ...verifiers])],
      trust: strongest(trustOf(entry), trustOfUrl(reference)),
      disk: {...entry.disk, ...audited, isDeclaredRaw: reference.format === 'raw'},
    }
    await updateEntry(store, entry, adapted)
    return {image: {...image, ...audited}, source: entry.source, isFresh: false}
  }
  return undefined
}

const ensure = {file: ensureLocalImage, url: ensureRemoteImage, name: ensureNamedImage} as const

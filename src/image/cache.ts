import {createHash} from 'node:crypto'
import {join} from 'node:path'

import {makePrivateDirectory} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import {auditImage} from './audit.ts'
import {findMismatch} from './checksum.ts'
import {commitDisk, updateEntry} from './commit.ts'
import {baseImageOf, type CacheEntry, isSameStamp, readEntries, stampOf} from './entries.ts'
import {fetchDisk} from './fetch-disk.ts'
import {ensureLocalImage, findLocalImage} from './file.ts'
import {type ImageSource, sourceFor} from './image-source.ts'
import {type EnsuredImage, type EnsureOptions, imageFiles, type ImageStore} from './image-store.ts'
import {removePartial} from './partial.ts'
import {sweepFinished, sweepPartials} from './sweep.ts'
import {displayUrl, fileNameOf, parseImageUrl, printableName, urlKey} from './url.ts'

/**
 * Makes an image usable: from the cache when it is there, else fetched, verified, decompressed, audited and stored. A local image
 * stays where it is unless it is compressed. Any number of processes may ask at once; one fetches, the others wait for it.
 * @throws VmctlError `vmctl::image::…` and `vmctl::qemu::not_installed`; nothing incomplete is ever stored
 */
export const ensureImage = async (store: ImageStore, reference: ImageReference, options: EnsureOptions): Promise<BaseImage> => {
  options.signal.throwIfAborted()
  for (const directory of [imageFiles.refs(store), imageFiles.partials(store), store.lockDirectory]) await makePrivateDirectory(directory)
  const {image, source, isFresh} =
    reference.kind === 'file' ? await ensureLocalImage(store, reference, options) : await ensureRemoteImage(store, reference, options)
  const verifiedBy = checkOf(reference)
  options.onEvent?.({type: 'image.ready', source, path: image.path, isFresh, ...(verifiedBy !== undefined && {verifiedBy})})
  return image
}

/** What an image is compared with. */
const checkOf = ({sha256, sha512, checksumUrl}: ImageReference): string | undefined => {
  if (sha256 !== undefined || sha512 !== undefined) return sha256 === undefined ? 'sha512' : 'sha256'
  return checksumUrl === undefined ? undefined : displayUrl(parseImageUrl(checksumUrl))
}

/** The image, if it can be used now: no network, no lock, nothing written. Undefined also for one that is unusable; `ensureImage` says why. */
export const findImage = async (store: ImageStore, reference: ImageReference): Promise<BaseImage | undefined> => {
  if (reference.kind === 'file') return findLocalImage(store, reference)
  const {entries} = await readEntries(store, urlKey(parseImageUrl(reference.source)))
  return (await findExact(store, entries, reference))?.image
}

const ensureRemoteImage = async (store: ImageStore, reference: ImageReference, options: EnsureOptions): Promise<EnsuredImage> => {
  const url = parseImageUrl(reference.source)
  const imageSource = sourceFor(store.sources, url)
  const key = urlKey(url)
  const source = displayUrl(url)
  const cached = async (): Promise<EnsuredImage | undefined> => {
    if (options.fresh) return undefined
    const found = await findExact(store, (await readEntries(store, key)).entries, reference)
    if (!found) return undefined
    await renewStamp(store, found.entry)
    await renameEntry(store, found.entry, options.name)
    await sweepFinished(store, found.entry)
    return {image: found.image, source, isFresh: false}
  }
  const early = await cached()
  if (early) return early
  await using _lock = await acquireLock(imageFiles.fetchLock(store, key), {
    purpose: `downloading ${source}`,
    timeoutMs: Infinity,
    signal: options.signal,
    onWait: (holder) => options.onEvent?.({type: 'image.waiting', source, holder}),
  })
  const late = (await cached()) ?? (options.fresh ? undefined : await adapt(store, {reference, imageSource, key}, options))
  if (late) return late
  await sweepPartials(store, key)
  return {image: await download(store, {reference, imageSource, key, url}, options), source, isFresh: true}
}

const download = async (store: ImageStore, job: RemoteJob & {readonly url: URL}, options: EnsureOptions): Promise<BaseImage> => {
  const {reference, key, url} = job
  const partial = imageFiles.partial(store, key)
  const disk = await fetchDisk(job.imageSource, {reference, partial}, {...options, displayName: displayUrl(url)})
  const {digests, sizeBytes, etag, lastModified, name} = disk.fetched
  const entry = {
    key,
    source: displayUrl(url),
    name: printableName(options.name ?? (name || fileNameOf(url))),
    published: {...digests, sizeBytes, ...(etag === undefined ? {} : {etag}), ...(lastModified === undefined ? {} : {lastModified})},
    verifiedBy: verifierOf(reference),
    fetchedAt: new Date().toISOString(),
  }
  const image = await commitDisk(store, {disk: {...disk, isDeclaredRaw: reference.format === 'raw'}, entry}, options.signal)
  await removePartial(partial)
  return image
}

/** An entry that answers the reference as it stands. */
const findExact = async (
  store: ImageStore,
  entries: readonly CacheEntry[],
  reference: ImageReference,
): Promise<{entry: CacheEntry; image: BaseImage} | undefined> => {
  for (const entry of entries) {
    if (findMismatch(reference, entry.published) || !fitsFormat(entry, reference)) continue
    if (!verifierOf(reference).every((verifier) => entry.verifiedBy.includes(verifier))) continue
    const image = await baseImageOf(store, entry)
    if (image) return {entry, image}
  }
  return undefined
}

const fitsFormat = ({disk}: CacheEntry, {format}: ImageReference): boolean =>
  format === undefined ? disk?.isDeclaredRaw === false : disk?.format === format && (format === 'raw' || !disk.isDeclaredRaw)

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
      disk: {...entry.disk, ...audited, isDeclaredRaw: reference.format === 'raw'},
    }
    await updateEntry(store, entry, adapted)
    return {image: {...image, ...audited}, source: entry.source, isFresh: false}
  }
  return undefined
}

/** A file that was touched and has the right bytes, a copy of the state directory say, need not be read again next time. */
const renewStamp = async (store: ImageStore, entry: CacheEntry): Promise<void> => {
  const {disk} = entry
  const stamp = disk?.stamp && (await stampOf(join(store.directory, disk.file)))
  if (disk?.stamp && stamp && !isSameStamp(stamp, disk.stamp)) await updateEntry(store, entry, {disk: {...disk, stamp}})
}

const renameEntry = async (store: ImageStore, entry: CacheEntry, name: string | undefined): Promise<void> => {
  if (name !== undefined && printableName(name) !== entry.name) await updateEntry(store, entry, {name: printableName(name)})
}

const verifierOf = ({checksumUrl}: ImageReference): string[] =>
  checksumUrl === undefined ? [] : [createHash('sha256').update(checksumUrl).digest('hex')]

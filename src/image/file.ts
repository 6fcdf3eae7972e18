import {realpath, stat} from 'node:fs/promises'
import {basename} from 'node:path'
import {pathToFileURL} from 'node:url'

import {remove} from '../host/durable.ts'
import {ioError} from '../host/files.ts'
import {readInPieces} from '../host/hash.ts'
import {acquireLock} from '../host/lock.ts'
import {systemCode, VmctlError} from '../model/errors.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import {auditImage, readHead} from './audit.ts'
import {createDigester, type Digests, findMismatch, verifyDigests} from './checksum.ts'
import {commitDisk, updateEntry} from './commit.ts'
import {detectPacking, type Packing, packingBytes} from './compression.ts'
import {baseImageOf, type CacheEntry, type FileStamp, isSameStamp, readEntries, stampOf} from './entries.ts'
import {decompressedPath, plainPath, unpack, unpackedPaths} from './fetch-disk.ts'
import {type EnsuredImage, type EnsureOptions, imageFiles, type ImageStore} from './image-store.ts'
import {toPlainDisk} from './plain-disk.ts'
import {printableName, urlKey} from './url.ts'

interface LocalFile {
  readonly path: string
  readonly key: string
  readonly stamp: FileStamp
  readonly packing: Packing | undefined
}

/**
 * A local image: used in place, or unpacked into the cache once per content. Declared digests are compared; the verdict holds
 * as long as size, time and inode of the file do.
 */
export const ensureLocalImage = async (store: ImageStore, reference: ImageReference, options: EnsureOptions): Promise<EnsuredImage> => {
  const file = await look(reference.source)
  if (file.packing === undefined && !isVerifiable(reference)) return inPlace(file, reference, options)
  await using _lock = await acquireLock(imageFiles.fetchLock(store, file.key), {
    purpose: `reading ${file.path}`,
    timeoutMs: Infinity,
    signal: options.signal,
    onWait: (holder) => options.onEvent?.({type: 'image.waiting', source: file.path, holder}),
  })
  // Awaited here, or the lock would be gone too early.
  if (file.packing !== undefined) return await decompressed(store, {...file, packing: file.packing, reference}, options)
  const known = await knownEntry(store, file)
  const digests = known?.published ?? (await hashFile(file, options))
  verifyDigests(file.path, reference, digests)
  if (!known) await updateEntry(store, entryOf(file, digests), {})
  return await inPlace(file, reference, options)
}

export const findLocalImage = async (store: ImageStore, reference: ImageReference): Promise<BaseImage | undefined> => {
  try {
    const file = await look(reference.source)
    if (file.packing === undefined && !isVerifiable(reference)) return (await inPlace(file, reference, {})).image
    const known = await knownEntry(store, file)
    if (!known || findMismatch(reference, known.published)) return undefined
    if (file.packing === undefined) return (await inPlace(file, reference, {})).image
    return await sameContent(store, known.published, reference)
  } catch {
    // Whatever is wrong with it is told by `ensureImage`.
    return undefined
  }
}

const isVerifiable = ({sha256, sha512}: ImageReference): boolean => sha256 !== undefined || sha512 !== undefined

const look = async (source: string): Promise<LocalFile> => {
  const path = await realpath(source).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') {
      throw new VmctlError('vmctl::image::not_found', `There is no image at ${source}.`, {cause: error})
    }
    throw ioError('find the image', source, error)
  })
  const found = await stat(path, {bigint: true})
  // Opening a FIFO would hang, and a directory is a common slip.
  if (!found.isFile()) throw new VmctlError('vmctl::image::not_found', `${source} is not a file.`)
  const {head} = await readHead(path, packingBytes)
  return {
    path,
    key: urlKey(pathToFileURL(path)),
    stamp: {sizeBytes: Number(found.size), mtimeNs: `${found.mtimeNs}`, inode: `${found.dev}:${found.ino}`},
    packing: detectPacking(basename(path), head),
  }
}

const inPlace = async (file: LocalFile, reference: ImageReference, options: Partial<EnsureOptions>): Promise<EnsuredImage> => {
  const audited = await auditImage(file.path, {declaredFormat: reference.format, signal: options.signal, source: file.path})
  return {image: {path: file.path, ...audited}, source: file.path, isFresh: false}
}

interface PackedImage extends LocalFile {
  readonly packing: Packing
  readonly reference: ImageReference
}

const decompressed = async (store: ImageStore, file: PackedImage, options: EnsureOptions): Promise<EnsuredImage> => {
  const {reference} = file
  const known = await knownEntry(store, file)
  const early = known?.published ?? (isVerifiable(reference) ? await hashFile(file, options) : undefined)
  if (early) verifyDigests(file.path, reference, early)
  const existing = early && (await knownContent(store, file, early))
  if (existing) return existing
  const partial = imageFiles.partial(store, file.key)
  const temporary = decompressedPath(partial)
  try {
    const unpacking = unpack(file, temporary, {...options, displayName: file.path})
    // Both read the file at once: what is not to be compared with anything need not be known before it is unpacked.
    const [hashed, unpacked] = await Promise.allSettled([early ?? hashFile(file, options), unpacking])
    if (unpacked.status === 'rejected') throw unpacked.reason
    if (hashed.status === 'rejected') throw hashed.reason
    const digests = hashed.value
    await requireUnchanged(file)
    const same = await knownContent(store, file, digests)
    if (same) return same
    const audited = await auditImage(temporary, {declaredFormat: reference.format, signal: options.signal, source: file.path})
    const plain = await toPlainDisk({path: temporary, audited}, plainPath(partial), {...options, source: file.path})
    const disk = {...plain, isDeclaredRaw: reference.format === 'raw'}
    return {image: await commitDisk(store, {disk, entry: entryOf(file, digests)}, options.signal), source: file.path, isFresh: true}
  } finally {
    for (const path of unpackedPaths(partial)) await remove(path)
  }
}

/** What the cache has of the same bytes; that they lie in this file too is recorded. */
const knownContent = async (store: ImageStore, file: PackedImage, digests: Digests): Promise<EnsuredImage | undefined> => {
  const image = await sameContent(store, digests, file.reference)
  if (!image) return undefined
  if (!(await knownEntry(store, file))) await updateEntry(store, entryOf(file, digests), {})
  return {image, source: file.path, isFresh: false}
}

/** What was hashed must be what was unpacked. */
const requireUnchanged = async ({path, stamp}: LocalFile): Promise<void> => {
  const now = await stampOf(path)
  if (now && isSameStamp(now, stamp)) return
  throw new VmctlError('vmctl::image::checksum_mismatch', `${path} was changed while it was read.`, {help: 'Run the command again.'})
}

/** What is recorded of exactly this file: same place, size, time and inode. */
const knownEntry = async (store: ImageStore, {key, stamp}: LocalFile): Promise<CacheEntry | undefined> => {
  const {entries} = await readEntries(store, key)
  return entries.find(({stamp: known}) => known !== undefined && isSameStamp(known, stamp))
}

/** A disk in the cache that came from the same bytes, wherever they lay. */
const sameContent = async (store: ImageStore, digests: Digests, reference: ImageReference): Promise<BaseImage | undefined> => {
  const {entries} = await readEntries(store)
  for (const entry of entries) {
    if (entry.published.sha256 !== digests.sha256 || entry.disk?.isDeclaredRaw !== (reference.format === 'raw')) continue
    const image = await baseImageOf(store, entry)
    if (image && (reference.format === undefined || reference.format === image.format)) return image
  }
  return undefined
}

const entryOf = (file: LocalFile, digests: Digests) =>
  ({
    schema: 1,
    key: file.key,
    source: file.path,
    name: printableName(basename(file.path)),
    published: {...digests, sizeBytes: file.stamp.sizeBytes},
    verifiedBy: [],
    stamp: file.stamp,
    fetchedAt: new Date().toISOString(),
  }) as const satisfies CacheEntry

const hashFile = async (file: LocalFile, {signal}: EnsureOptions): Promise<Digests> => {
  const digester = createDigester()
  await readInPieces(file.path, digester.update, signal)
  return digester.finish()
}

import {createReadStream} from 'node:fs'
import {realpath, stat} from 'node:fs/promises'
import {basename} from 'node:path'
import {pathToFileURL} from 'node:url'

import {remove} from '../host/durable.ts'
import {ioError} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import {systemCode, VmctlError} from '../model/errors.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import {auditImage, readHead} from './audit.ts'
import {createDigester, type Digests, findMismatch, verifyDigests} from './checksum.ts'
import {commitDisk, updateEntry} from './commit.ts'
import {type Compression, detectCompression} from './compression.ts'
import {baseImageOf, type CacheEntry, type FileStamp, isSameStamp, readEntries} from './entries.ts'
import {decompressedPath, toDisk} from './fetch-disk.ts'
import {type EnsuredImage, type EnsureOptions, imageFiles, type ImageStore} from './image-store.ts'
import {printableName, urlKey} from './url.ts'

interface LocalFile {
  readonly path: string
  readonly key: string
  readonly stamp: FileStamp
  readonly compression: Compression | undefined
}

/**
 * A local image: used in place, or decompressed into the cache once per content. Declared digests are compared; the verdict holds
 * as long as size, time and inode of the file do.
 */
export const ensureLocalImage = async (store: ImageStore, reference: ImageReference, options: EnsureOptions): Promise<EnsuredImage> => {
  const file = await look(reference.source)
  if (file.compression === undefined && !isVerifiable(reference)) return inPlace(file, reference, options)
  await using _lock = await acquireLock(imageFiles.fetchLock(store, file.key), {
    purpose: `reading ${file.path}`,
    timeoutMs: Infinity,
    signal: options.signal,
    onWait: (holder) => options.onEvent?.({type: 'image.waiting', source: file.path, holder}),
  })
  const known = await knownEntry(store, file)
  const digests = known?.published ?? (await hashFile(file, options))
  verifyDigests(file.path, reference, digests)
  // Awaited here, or the lock would be gone too early.
  if (file.compression !== undefined) return await decompressed(store, {file, digests, reference}, options)
  if (!known) await updateEntry(store, entryOf(file, digests), {})
  return await inPlace(file, reference, options)
}

export const findLocalImage = async (store: ImageStore, reference: ImageReference): Promise<BaseImage | undefined> => {
  try {
    const file = await look(reference.source)
    if (file.compression === undefined && !isVerifiable(reference)) return (await inPlace(file, reference, {})).image
    const known = await knownEntry(store, file)
    if (!known || findMismatch(reference, known.published)) return undefined
    if (file.compression === undefined) return (await inPlace(file, reference, {})).image
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
  const {head} = await readHead(path, 64)
  return {
    path,
    key: urlKey(pathToFileURL(path)),
    stamp: {sizeBytes: Number(found.size), mtimeNs: `${found.mtimeNs}`, inode: `${found.dev}:${found.ino}`},
    compression: detectCompression(basename(path), head),
  }
}

const inPlace = async (file: LocalFile, reference: ImageReference, options: Partial<EnsureOptions>): Promise<EnsuredImage> => {
  const audited = await auditImage(file.path, {declaredFormat: reference.format, signal: options.signal, source: file.path})
  return {image: {path: file.path, ...audited}, source: file.path, isFresh: false}
}

const decompressed = async (
  store: ImageStore,
  {file, digests, reference}: {readonly file: LocalFile; readonly digests: Digests; readonly reference: ImageReference},
  options: EnsureOptions,
): Promise<EnsuredImage> => {
  const existing = await sameContent(store, digests, reference)
  if (existing) {
    if (!(await knownEntry(store, file))) await updateEntry(store, entryOf(file, digests), {})
    return {image: existing, source: file.path, isFresh: false}
  }
  const temporary = decompressedPath(imageFiles.partial(store, file.key))
  try {
    const named = {path: file.path, name: basename(file.path), sha256: digests.sha256}
    const disk = await toDisk(named, temporary, {...options, displayName: file.path})
    const audited = await auditImage(disk.path, {declaredFormat: reference.format, signal: options.signal, source: file.path})
    const added = {...disk, audited, isDeclaredRaw: reference.format === 'raw'}
    return {image: await commitDisk(store, {disk: added, entry: entryOf(file, digests)}, options.signal), source: file.path, isFresh: true}
  } finally {
    await remove(temporary)
  }
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
  for await (const chunk of createReadStream(file.path, {highWaterMark: 2 ** 20, signal})) digester.update(chunk as Buffer)
  return digester.finish()
}

import {chmod, open, stat} from 'node:fs/promises'
import {basename, join} from 'node:path'

import {act, remove, rename, syncDirectory} from '../host/durable.ts'
import {hashFile} from '../host/hash.ts'
import {acquireLock} from '../host/lock.ts'
import type {BaseImage} from '../model/vm.ts'
import type {AuditedImage} from './audit.ts'
import {baseImageOf, type CacheEntry, entryPath, readEntries, type StoredDisk, stampOf, writeEntry} from './entries.ts'
import {imageFiles, type ImageStore} from './image-store.ts'
import {storageError} from './storage-error.ts'

export interface NewDisk {
  /** Temporary name of the disk, in the file system of the cache. */
  readonly path: string
  /** Its own digest, unless it was only decompressed. */
  readonly sha256?: string
  readonly audited: AuditedImage
  readonly isDeclaredRaw: boolean
  /** Whether it has the content of the published image in another layout. */
  readonly isConverted?: boolean
}

/**
 * Adds a verified disk and its index entry. From here on the disk is read-only and never replaced: an equal one that is there
 * already is kept, because a running VM may have it open. What came from the same bytes before keeps its name.
 */
export const commitDisk = async (
  store: ImageStore,
  {disk, entry}: {readonly disk: NewDisk; readonly entry: NewEntry},
  signal: AbortSignal,
): Promise<BaseImage> => {
  await using _lock = await lockIndex(store, `image ${entry.name}`, signal)
  const known = await sameDisk(store, disk, entry)
  const path = known ? join(store.directory, known.file) : newPath(store, disk, entry)
  try {
    const kept = known && (await isWhole(path, known.sha256)) ? known : undefined
    if (kept) await remove(disk.path)
    const placed = kept ?? (await placeDisk(disk, path))
    await syncDirectory(store.directory)
    const stamp = await stampOf(path)
    await writeEntry(store, {schema: 1, ...entry, disk: {...placed, ...(stamp && {stamp})}})
    const {format, virtualSizeBytes} = placed
    return {path, format, virtualSizeBytes, sha256: entry.published.sha256}
  } catch (error) {
    throw storageError(error, 'store the image as', path)
  }
}

/** The lock under which disks and index entries come and go; held for moments only. */
export const lockIndex = async (store: ImageStore, purpose: string, signal?: AbortSignal): ReturnType<typeof acquireLock> =>
  acquireLock(imageFiles.indexLock(store), {purpose, timeoutMs: 60_000, signal})

/** Replaces an entry by one with more knowledge, unless it was removed meanwhile. */
export const updateEntry = async (store: ImageStore, entry: CacheEntry, change: Partial<CacheEntry>): Promise<CacheEntry> => {
  const changed = {...entry, ...change}
  await using _lock = await lockIndex(store, `image ${entry.name}`)
  if ((await baseImageOf(store, entry)) || entry.disk === undefined) await writeEntry(store, changed)
  return changed
}

export const removeEntry = async (store: ImageStore, entry: CacheEntry): Promise<void> => remove(entryPath(store, entry))

type NewEntry = Omit<CacheEntry, 'disk' | 'schema'>

/** What the same bytes have become before, wherever they came from. */
const sameDisk = async (store: ImageStore, {audited, isDeclaredRaw}: NewDisk, entry: NewEntry): Promise<StoredDisk | undefined> => {
  const {entries} = await readEntries(store)
  const same = entries.find(
    ({published, disk}) =>
      published.sha256 === entry.published.sha256 && disk?.format === audited.format && disk.isDeclaredRaw === isDeclaredRaw,
  )
  return same?.disk
}

const newPath = (store: ImageStore, {sha256, audited}: NewDisk, {published}: NewEntry): string =>
  imageFiles.disk(store, {publishedSha256: published.sha256, isUnpacked: sha256 !== published.sha256, format: audited.format})

const isWhole = async (path: string, sha256: string | undefined): Promise<boolean> =>
  sha256 !== undefined && (await stampOf(path)) !== undefined && (await hashFile(path)) === sha256

/** Not a hard link: the temporary name would lead a later, resumed download into the finished file. */
const placeDisk = async (disk: NewDisk, path: string): Promise<StoredDisk> => {
  const {size} = await stat(disk.path)
  await chmod(disk.path, 0o400)
  await flush(disk.path)
  const isTaken = (await stampOf(path)) !== undefined
  const sha256 = disk.sha256 ?? (isTaken ? await hashFile(disk.path) : undefined)
  // A file of other bytes in its place is damaged: no VM can live on it, so it is repaired.
  if (isTaken && (await isWhole(path, sha256))) await remove(disk.path)
  else await rename(disk.path, path)
  return {
    file: basename(path),
    ...(sha256 !== undefined && {sha256}),
    sizeBytes: size,
    virtualSizeBytes: disk.audited.virtualSizeBytes,
    format: disk.audited.format,
    isDeclaredRaw: disk.isDeclaredRaw,
    ...(disk.isConverted && {isConverted: true}),
  }
}

const flush = async (path: string): Promise<void> => {
  await using handle = await open(path, 'r')
  await act(`sync ${path}`, () => handle.sync())
}

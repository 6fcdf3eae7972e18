import {chmod, open, stat} from 'node:fs/promises'
import {basename, join} from 'node:path'

import {act, remove, rename, syncDirectory} from '../host/durable.ts'
import {hashFile} from '../host/hash.ts'
import {acquireLock} from '../host/lock.ts'
import type {BaseImage} from '../model/vm.ts'
import type {AuditedImage} from './audit.ts'
import {baseImageOf, type CacheEntry, entryPath, readEntries, stampOf, writeEntry} from './entries.ts'
import {imageFiles, type ImageStore} from './image-store.ts'
import {storageError} from './storage-error.ts'

export interface NewDisk {
  /** Temporary name of the disk, in the file system of the cache. */
  readonly path: string
  /** Its own digest, unless it was unpacked. */
  readonly sha256?: string
  readonly audited: AuditedImage
  readonly isDeclaredRaw: boolean
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
  const {format, virtualSizeBytes} = disk.audited
  await using _lock = await lockIndex(store, `image ${entry.name}`, signal)
  const path = await placeOf(store, disk, entry)
  try {
    const {size} = await stat(disk.path)
    await chmod(disk.path, 0o400)
    await flush(disk.path)
    const sha256 = await placeDisk(disk, path)
    await syncDirectory(store.directory)
    const stamp = await stampOf(path)
    const whole: CacheEntry = {
      schema: 1,
      ...entry,
      disk: {
        file: basename(path),
        ...(sha256 !== undefined && {sha256}),
        sizeBytes: size,
        virtualSizeBytes,
        format,
        isDeclaredRaw: disk.isDeclaredRaw,
        ...(stamp && {stamp}),
      },
    }
    await writeEntry(store, whole)
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

const placeOf = async (store: ImageStore, {sha256, audited, isDeclaredRaw}: NewDisk, entry: NewEntry): Promise<string> => {
  const isSame = ({published, disk}: CacheEntry): boolean =>
    published.sha256 === entry.published.sha256 && disk?.format === audited.format && disk.isDeclaredRaw === isDeclaredRaw
  const {entries} = await readEntries(store)
  const known = entries.find(isSame)?.disk?.file
  if (known !== undefined) return join(store.directory, known)
  return imageFiles.disk(store, {publishedSha256: entry.published.sha256, isUnpacked: sha256 === undefined, format: audited.format})
}

/**
 * Not a hard link: the temporary name would lead a later, resumed download into the finished file.
 * @returns the digest of the disk, if it is known
 */
const placeDisk = async ({path: temporary, sha256: known}: NewDisk, path: string): Promise<string | undefined> => {
  if (!(await stampOf(path))) {
    await rename(temporary, path)
    return known
  }
  const sha256 = known ?? (await hashFile(temporary))
  // A file of other bytes in its place is damaged: no VM can live on it, so it is repaired.
  if ((await hashFile(path)) === sha256) await remove(temporary)
  else await rename(temporary, path)
  return sha256
}

const flush = async (path: string): Promise<void> => {
  await using handle = await open(path, 'r')
  await act(`sync ${path}`, () => handle.sync())
}

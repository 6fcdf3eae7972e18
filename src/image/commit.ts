import {chmod, open, stat} from 'node:fs/promises'
import {basename} from 'node:path'

import {act, remove, rename, syncDirectory} from '../host/durable.ts'
import {hashFile} from '../host/hash.ts'
import {acquireLock} from '../host/lock.ts'
import type {BaseImage} from '../model/vm.ts'
import type {AuditedImage} from './audit.ts'
import {baseImageOf, type CacheEntry, entryPath, stampOf, writeEntry} from './entries.ts'
import {imageFiles, type ImageStore} from './image-store.ts'
import {storageError} from './storage-error.ts'

export interface NewDisk {
  /** Temporary name of the disk, in the file system of the cache. */
  readonly path: string
  readonly sha256: string
  readonly audited: AuditedImage
  readonly isDeclaredRaw: boolean
}

/**
 * Adds a verified disk and its index entry. From here on the disk is read-only and never replaced: an equal one that is there
 * already is kept, because a running VM may have it open.
 */
export const commitDisk = async (
  store: ImageStore,
  {disk, entry}: {readonly disk: NewDisk; readonly entry: Omit<CacheEntry, 'disk' | 'schema'>},
  signal: AbortSignal,
): Promise<BaseImage> => {
  const path = imageFiles.disk(store, disk.sha256, disk.audited.format)
  await using _lock = await lockIndex(store, `image ${entry.name}`, signal)
  try {
    const {size} = await stat(disk.path)
    await chmod(disk.path, 0o400)
    await flush(disk.path)
    await placeDisk(disk.path, path, disk.sha256)
    await syncDirectory(store.directory)
    const stamp = await stampOf(path)
    const whole: CacheEntry = {
      schema: 1,
      ...entry,
      disk: {
        file: basename(path),
        sha256: disk.sha256,
        sizeBytes: size,
        virtualSizeBytes: disk.audited.virtualSizeBytes,
        format: disk.audited.format,
        isDeclaredRaw: disk.isDeclaredRaw,
        ...(stamp && {stamp}),
      },
    }
    await writeEntry(store, whole)
    return {path, format: disk.audited.format, virtualSizeBytes: disk.audited.virtualSizeBytes, sha256: disk.sha256}
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

/** Not a hard link: the temporary name would lead a later, resumed download into the finished file. */
const placeDisk = async (temporary: string, path: string, sha256: string): Promise<void> => {
  const existing = await stampOf(path)
  // A file of other bytes under this digest is damaged: no VM can live on it, so it is repaired.
  if (existing && (await hashFile(path)) === sha256) await remove(temporary)
  else await rename(temporary, path)
}

const flush = async (path: string): Promise<void> => {
  await using handle = await open(path, 'r')
  await act(`sync ${path}`, () => handle.sync())
}

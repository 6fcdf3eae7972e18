import {readdir, stat} from 'node:fs/promises'
import {join} from 'node:path'

import {remove} from '../host/durable.ts'
import {isTemporaryName} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import {isVmctlError} from '../model/errors.ts'
import type {CacheEntry} from './entries.ts'
import {unpackedPaths} from './fetch-disk.ts'
import {imageFiles, type ImageStore} from './image-store.ts'
import {isLeftOf, sidecar} from './partial.ts'

const day = 24 * 60 * 60 * 1000
/** How long a cut download is worth keeping; what else a killed process leaves cannot be resumed and goes after a day. */
const keepMs = {partial: 14 * day, other: day}

/**
 * Removes what killed processes left behind: temporary files at once, the rest when it is old; nothing of a process at work.
 * The caller holds the lock of `ownKey`. Never fails.
 */
export const sweepPartials = async (store: ImageStore, ownKey: string): Promise<void> => {
  const directory = imageFiles.partials(store)
  const names = await readdir(directory).catch(() => [])
  for (const key of new Set(names.map((name) => /^\.?([0-9a-f]{64})/.exec(name)?.[1] ?? ''))) {
    const mine = names.filter((name) => name.includes(key))
    if (key === ownKey) await removeAll(pathsOf(directory, mine.filter(isTemporaryName)))
    else if (key !== '') await removeUnlessLocked(imageFiles.fetchLock(store, key), await staleOf(directory, mine))
  }
  const refs = imageFiles.refs(store)
  const temporary = (await readdir(refs).catch(() => [])).filter(isTemporaryName)
  await removeUnlessLocked(imageFiles.indexLock(store), pathsOf(refs, temporary))
}

/** Removes what is left of the download of an image that is in the cache, unless a process is at work on it. */
export const sweepFinished = async (store: ImageStore, {key, published}: Pick<CacheEntry, 'key' | 'published'>): Promise<void> => {
  const partial = imageFiles.partial(store, key)
  if (!(await isLeftOf(partial, published).catch(() => false))) return
  await removeUnlessLocked(imageFiles.fetchLock(store, key), [...unpackedPaths(partial), partial, sidecar(partial)])
}

const pathsOf = (directory: string, names: readonly string[]): string[] => names.map((name) => join(directory, name))

const staleOf = async (directory: string, names: readonly string[]): Promise<string[]> => {
  const stale = pathsOf(directory, names.filter(isTemporaryName))
  for (const name of names) {
    const limitMs = /^[0-9a-f]{64}(?:\.json)?$/.test(name) ? keepMs.partial : keepMs.other
    const [path = ''] = pathsOf(directory, [name])
    const found = await stat(path).catch(() => undefined)
    if (found && Date.now() - found.mtimeMs > limitMs) stale.push(path)
  }
  return stale
}

const removeAll = async (paths: readonly string[]): Promise<void> => {
  for (const path of paths) await remove(path).catch(() => undefined)
}

const removeUnlessLocked = async (lock: string, paths: readonly string[]): Promise<void> => {
  if (paths.length === 0) return
  try {
    await using _lock = await acquireLock(lock, {purpose: 'cleaning up', timeoutMs: 0})
    await removeAll(paths)
  } catch (error) {
    // Someone is at work on it, or it is not ours to remove; there is no harm in leaving it.
    if (!isVmctlError(error)) return
  }
}

import {utimes} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'

import {pathExists} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import type {BaseImage} from '../model/vm.ts'
import {lockIndex} from './commit.ts'
import {entryPath, readEntries} from './entries.ts'
import {imageFiles, type ImageStore} from './image-store.ts'

/** Something that keeps an image in the cache. */
export interface ImageUse {
  readonly kind: 'vm' | 'volume' | 'lock' | 'layer'
  /** Of a VM or a volume; the path of a lock file; the id of a layer. */
  readonly name: string
  /** The disk that is used. */
  readonly path: string
  /** What the user takes on the disk beside the image. */
  readonly allocatedBytes?: number
}

/** Whether a use means an image. Disks are named by their digests, so a state directory that was moved makes no difference. */
export const isUseOf = (use: ImageUse, image: {readonly path: string}): boolean => basename(use.path) === basename(image.path)

/**
 * Puts on record that something uses an image, at a moment in which nothing leaves the cache. From then on no command removes it.
 * @param claim writes what `ImageUse`s are read from
 * @returns false, without a claim, when the image has left the cache since it was found
 */
export const claimImage = async (
  store: ImageStore,
  {image, claim}: {readonly image: BaseImage; readonly claim: () => Promise<void>},
  signal: AbortSignal,
): Promise<boolean> => {
  if (dirname(image.path) === store.directory) {
    await using _lock = await lockIndex(store, 'a new VM', signal)
    if (!(await pathExists(image.path))) return false
    await claim()
  } else {
    // A local image is where the user has it, and nobody here removes it.
    await claim()
  }
  await noteUse(store, image.path)
  return true
}

/**
 * Keeps an image of the cache there while something reads it, in the way of those who fetch it: `image prune` passes it over.
 * @returns undefined when it is not one of the cache, or has left it
 */
export const holdImage = async (
  store: ImageStore,
  {path}: Pick<BaseImage, 'path'>,
  options: {readonly purpose: string; readonly signal: AbortSignal; readonly onWait: (holder: string) => void},
): Promise<AsyncDisposable | undefined> => {
  const {entries} = await readEntries(store)
  const entry = entries.find(({disk}) => disk !== undefined && join(store.directory, disk.file) === path)
  if (!entry) return undefined
  const lock = await acquireLock(imageFiles.fetchLock(store, entry.key), {...options, timeoutMs: Infinity})
  if (await pathExists(path)) return lock
  await lock[Symbol.asyncDispose]()
  return undefined
}

/** Notes that an image is in use until now: the time of its index files is that of the last use. Never fails. */
export const noteUse = async (store: ImageStore, path: string): Promise<void> => {
  if (dirname(path) !== store.directory) return
  const now = new Date()
  const {entries} = await readEntries(store).catch(() => ({entries: []}))
  for (const entry of entries) {
    if (entry.disk?.file === basename(path)) await utimes(entryPath(store, entry), now, now).catch(() => undefined)
  }
}

import {basename, join} from 'node:path'

import type {LockedBuild, LockedDigests} from '../model/lock.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import {findMismatch} from './checksum.ts'
import {type CacheEntry, readEntries} from './entries.ts'
import {fitsFormat} from './find-entry.ts'
import {sourceFor} from './image-source.ts'
import type {ImageStore} from './image-store.ts'
import {nameKey} from './named.ts'
import {trustOf} from './trust.ts'
import {parseImageUrl, urlKey} from './url.ts'

/** Every entry with the bytes of a build, whatever it was fetched for. */
export const entriesOfBuild = async (store: ImageStore, digests: LockedDigests): Promise<CacheEntry[]> =>
  (await readEntries(store)).entries.filter(({published}) => !findMismatch(digests, published))

/** What the cache knows of an image that was made ready for a reference, or of any with the digests of a locked one. */
export interface CachedBuild extends Omit<LockedBuild, 'digests' | 'published'> {
  readonly digests: Required<LockedDigests>
  /** In which algorithms its publisher lists it. */
  readonly listed?: CacheEntry['listed']
  readonly lastModified?: string
}

export const buildOfImage = async (store: ImageStore, reference: ImageReference, image: BaseImage): Promise<CachedBuild | undefined> => {
  const key = reference.kind === 'name' ? nameKey(reference) : urlKey(parseImageUrl(reference.source), reference.architecture)
  const {entries} = await readEntries(store, key)
  const entry = entries.find((one) => isDiskOf(one, image.path) && fitsFormat(one, reference))
  return entry && describe(entry)
}

export const buildOfDigests = async (store: ImageStore, digests: LockedDigests): Promise<CachedBuild | undefined> => {
  const entry = (await entriesOfBuild(store, digests)).find(({disk}) => disk !== undefined)
  return entry && describe(entry)
}

const describe = (entry: CacheEntry): CachedBuild => {
  const {published, disk, listed, pinned, url = pinned} = entry
  return {
    ...(url !== undefined && {url}),
    digests: {sha256: published.sha256, sha512: published.sha512},
    sizeBytes: published.sizeBytes,
    ...(disk && {virtualSizeBytes: disk.virtualSizeBytes, format: disk.format}),
    ...(published.lastModified !== undefined && {lastModified: published.lastModified}),
    ...(listed && {listed}),
    trust: trustOf(entry),
  }
}

/** Disks are named by digests, so a state directory that was moved makes no difference. */
const isDiskOf = ({disk}: CacheEntry, path: string): boolean => disk?.file === basename(path)

/** The disks that were made from a build. */
export const disksOfBuild = async (store: ImageStore, digests: LockedDigests): Promise<readonly string[]> =>
  (await entriesOfBuild(store, digests)).flatMap(({disk}) => (disk ? [join(store.directory, disk.file)] : []))

/** Whether a disk was made from a build; undefined when nothing is known about where it came from. */
export const isMadeFrom = async (store: ImageStore, {path}: BaseImage, digests: LockedDigests): Promise<boolean | undefined> => {
  const known = (await readEntries(store)).entries.filter((entry) => isDiskOf(entry, path))
  return known.length === 0 ? undefined : known.some(({published}) => !findMismatch(digests, published))
}

/** Whether the list that a reference names has the same build as before: then it need not be fetched again to know. */
export const isStillListed = async (
  store: ImageStore,
  {reference, digests}: {readonly reference: ImageReference; readonly digests: LockedDigests},
  options: {readonly signal: AbortSignal},
): Promise<boolean> => {
  if (reference.checksumUrl === undefined) return false
  const [entry] = await entriesOfBuild(store, digests)
  const listed = entry && (await sourceFor(store.sources, parseImageUrl(reference.source)).publishedDigests?.(reference, options))
  return listed !== undefined && !findMismatch(listed, entry?.published ?? {sha256: '', sha512: ''})
}

import {createHash} from 'node:crypto'
import {join} from 'node:path'

import type {BaseImage, ImageReference} from '../model/vm.ts'
import {findMismatch} from './checksum.ts'
import {updateEntry} from './commit.ts'
import {baseImageOf, type CacheEntry, isSameStamp, readEntries, stampOf} from './entries.ts'
import type {EnsuredImage, EnsureOptions, ImageStore} from './image-store.ts'
import {sweepFinished} from './sweep.ts'
import {printableName} from './url.ts'

/** What the cache has for a reference, made ready for use; nothing when the caller wants it fetched in any case. */
export const cachedImage = async (
  store: ImageStore,
  {reference, key, source}: {readonly reference: ImageReference; readonly key: string; readonly source: string},
  options: EnsureOptions,
): Promise<EnsuredImage | undefined> => {
  if (options.fresh) return undefined
  const found = await findExact(store, (await readEntries(store, key)).entries, reference)
  if (!found) return undefined
  await renewStamp(store, found.entry)
  await renameEntry(store, found.entry, options.name)
  await sweepFinished(store, found.entry)
  return {image: found.image, source, isFresh: false}
}

/** An entry that answers the reference as it stands. */
export const findExact = async (
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

export const fitsFormat = ({disk}: CacheEntry, {format}: ImageReference): boolean =>
  format === undefined ? disk?.isDeclaredRaw === false : disk?.format === format && (format === 'raw' || !disk.isDeclaredRaw)

/** A file that was touched and has the right bytes, a copy of the state directory say, need not be read again next time. */
const renewStamp = async (store: ImageStore, entry: CacheEntry): Promise<void> => {
  const {disk} = entry
  const stamp = disk?.stamp && (await stampOf(join(store.directory, disk.file)))
  if (disk?.stamp && stamp && !isSameStamp(stamp, disk.stamp)) await updateEntry(store, entry, {disk: {...disk, stamp}})
}

const renameEntry = async (store: ImageStore, entry: CacheEntry, name: string | undefined): Promise<void> => {
  if (name !== undefined && printableName(name) !== entry.name) await updateEntry(store, entry, {name: printableName(name)})
}

export const verifierOf = ({checksumUrl}: ImageReference): string[] =>
  checksumUrl === undefined ? [] : [createHash('sha256').update(checksumUrl).digest('hex')]

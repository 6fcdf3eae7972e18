import {readdir, stat} from 'node:fs/promises'
import {basename, join} from 'node:path'

import {remove} from '../host/durable.ts'
import {hashFile} from '../host/hash.ts'
import {VmctlError} from '../model/errors.ts'
import {suggest} from '../model/names.ts'
import type {ImageFormat} from '../model/vm.ts'
import {lockIndex, removeEntry, updateEntry} from './commit.ts'
import {type CacheEntry, entryPath, isUntouched, readEntries, stampOf} from './entries.ts'
import {diskNamePattern, type ImageStore} from './image-store.ts'
import {trustOf} from './trust.ts'
import {urlKey} from './url.ts'
import type {ImageUse} from './uses.ts'

/** One line of `vmctl image list`. */
export interface CachedImage {
  readonly name: string
  /** Absolute path of the disk; of the index file when that is damaged. */
  readonly path: string
  /** URL without credentials and query values, or path of the local file it came from. Absent when unknown. */
  readonly source?: string
  readonly format?: ImageFormat
  /** Digest of the disk, lower-case hex; of one that was only decompressed it is known since `image verify` has read it. */
  readonly sha256?: string
  /** Digest of the file as published. */
  readonly publishedSha256?: string
  /** Length of the file, holes included. */
  readonly sizeBytes: number
  /** What it takes on the disk. */
  readonly allocatedBytes: number
  /** What the guest sees. */
  readonly virtualSizeBytes?: number
  /** RFC 3339. */
  readonly fetchedAt?: string
  /** When it was last fetched or asked for at its publisher, or a VM that uses it was made or destroyed. RFC 3339. */
  readonly lastUsedAt?: string
  /** How it was vouched for when it was fetched: a signed list, a checksum over https or of the user, nothing. */
  readonly trust?: 'signed' | 'checksum' | 'none'
  /** Who signed, and with which key. */
  readonly signedBy?: string
  readonly fingerprint?: string
  /** Where an image with a name came from. */
  readonly url?: string
  /** Why the entry cannot be used: its index file is damaged, or its disk is gone. */
  readonly problem?: string
}

export interface Listed {
  readonly image: CachedImage
  /** Absent for a disk without an index entry, and for a damaged index file. */
  readonly entry?: CacheEntry
}

/** Everything in the cache, by name. Damage is reported in its own line and never hides the others. */
export const listImages = async (store: ImageStore): Promise<CachedImage[]> => (await readImages(store)).map(({image}) => image)

/** What uses an image; a bare name is that of a VM. */
type User = Pick<ImageUse, 'kind' | 'name'> | string | undefined

/**
 * Removes images by name, source, digest (12 characters or more) or file name. A disk that several sources share goes with the last.
 * @throws VmctlError `vmctl::image::not_found`; `vmctl::image::in_use`, before anything is removed
 */
export const removeImage = async (
  store: ImageStore,
  wanted: string,
  options: {readonly inUse: (path: string, image: CachedImage) => User | Promise<User>},
): Promise<CachedImage[]> => {
  await using _lock = await lockIndex(store, `image rm ${wanted}`)
  const all = await readImages(store)
  const removed = all.filter((listed) => isWanted(listed, wanted))
  if (removed.length === 0) throw notFound(wanted, all)
  const paths = pathsOnlyOf(removed, all)
  for (const {image} of removed) {
    // Asked under the lock: whoever claims an image does it under the lock too.
    const user = paths.has(image.path) ? await options.inUse(image.path, image) : undefined
    if (user !== undefined) throw inUse(wanted, image.path, typeof user === 'string' ? {kind: 'vm', name: user} : user)
  }
  await removeListed(store, removed, paths)
  return removed.map(({image}) => image)
}

/** The files that nothing but these lines of the list is about. */
export const pathsOnlyOf = (some: readonly Listed[], all: readonly Listed[]): ReadonlySet<string> => {
  const kept = new Set(all.filter((listed) => !some.includes(listed)).map(({image}) => image.path))
  return new Set(some.map(({image}) => image.path).filter((path) => !kept.has(path)))
}

/** Removes lines of the list, and files. The caller holds the lock of the index. */
export const removeListed = async (store: ImageStore, listed: readonly Listed[], paths: Iterable<string>): Promise<void> => {
  // The index first: an entry without its disk would be a promise that cannot be kept.
  for (const {entry} of listed) if (entry) await removeEntry(store, entry)
  for (const path of paths) await remove(path)
}

const inUse = (wanted: string, path: string, {kind, name}: Pick<ImageUse, 'kind' | 'name'>): VmctlError =>
  new VmctlError('vmctl::image::in_use', `The image ${wanted} is the base of the ${kind === 'vm' ? 'VM' : kind} ${name}.`, {
    help: `${kind === 'vm' ? `Destroy the VM first: \`vmctl destroy ${name}\`` : `Remove that first: \`vmctl ${kind} rm ${name}\``}.`,
    details: {path, [kind]: name},
  })

/** What became of one image that was read; the `--json` shape of an element of `vmctl image verify`. */
export interface VerifiedImage extends Pick<CachedImage, 'name' | 'path' | 'sha256'> {
  /** Why it is not what was stored; absent when it is. */
  readonly problem?: string
  /** Whether there was no digest to compare with: nobody has touched the file since it was unpacked, and its digest is on record now. */
  readonly isNew?: boolean
}

/**
 * Reads images in full and compares them with the digests under which they were stored.
 * @param wanted as for `removeImage`; all images when absent
 * @throws VmctlError `vmctl::image::not_found`
 */
export const verifyImages = async (store: ImageStore, wanted: string | undefined): Promise<readonly VerifiedImage[]> => {
  const all = await readImages(store)
  const chosen = wanted === undefined ? all : all.filter((listed) => isWanted(listed, wanted))
  if (wanted !== undefined && chosen.length === 0) throw notFound(wanted, all)
  const verified: VerifiedImage[] = []
  for (const listed of chosen) verified.push(await verifyOne(store, listed))
  return verified
}

const verifyOne = async (store: ImageStore, {image, entry}: Listed): Promise<VerifiedImage> => {
  const {name, path, sha256, problem} = image
  if (problem !== undefined || !entry?.disk) return {name, path, problem: problem ?? 'Its digest is not known.'}
  const {disk} = entry
  const stamp = await stampOf(path)
  const found = await hashFile(path)
  if (sha256 !== undefined) return {name, path, sha256, ...(found !== sha256 && {problem: `Its digest is ${found}: the file is damaged.`})}
  if (!stamp || !isUntouched(stamp, disk.stamp)) {
    return {name, path, sha256: found, problem: 'The file was touched after it was stored, and nobody knows its digest from before.'}
  }
  await updateEntry(store, entry, {disk: {...disk, sha256: found}})
  return {name, path, sha256: found, isNew: true}
}

/** Everything in the cache, with its index entries. */
export const readImages = async (store: ImageStore): Promise<Listed[]> => {
  const {entries, damaged} = await readEntries(store)
  const listed: Listed[] = []
  for (const {path, problem} of damaged) listed.push({image: await withoutEntry(path, `The index file is damaged: ${problem}.`)})
  for (const entry of entries) if (entry.disk) listed.push({entry, image: await describe(store, entry, entry.disk)})
  const known = new Set(listed.map(({image}) => image.path))
  for (const file of await readdir(store.directory).catch(() => [])) {
    const path = join(store.directory, file)
    if (!diskNamePattern.test(file) || known.has(path)) continue
    // A process was killed between storing the disk and its entry, or the entry is the damaged one.
    listed.push({image: await withoutEntry(path, 'Nothing is known about where it came from.')})
  }
  return listed.toSorted(
    (left, right) => left.image.name.localeCompare(right.image.name) || (left.image.source ?? '').localeCompare(right.image.source ?? ''),
  )
}

const withoutEntry = async (path: string, problem: string): Promise<CachedImage> => {
  const lastUsedAt = await timeOf(path)
  return {name: basename(path), path, ...(await sizesOf(path)), ...(lastUsedAt !== undefined && {lastUsedAt}), problem}
}

const describe = async (store: ImageStore, entry: CacheEntry, disk: NonNullable<CacheEntry['disk']>): Promise<CachedImage> => {
  const path = join(store.directory, disk.file)
  const sizes = await sizesOf(path)
  const trust = trustOf(entry)
  return {
    name: entry.name,
    path,
    source: entry.source,
    format: disk.format,
    ...(disk.sha256 !== undefined && {sha256: disk.sha256}),
    publishedSha256: entry.published.sha256,
    ...sizes,
    virtualSizeBytes: disk.virtualSizeBytes,
    fetchedAt: entry.fetchedAt,
    lastUsedAt: (await timeOf(entryPath(store, entry))) ?? entry.fetchedAt,
    trust: trust.level,
    ...(trust.level === 'signed' && {signedBy: trust.by, fingerprint: trust.fingerprint}),
    ...(entry.url !== undefined && {url: entry.url}),
    ...(sizes.sizeBytes === disk.sizeBytes ? {} : {problem: 'The disk is missing or cut off; it is fetched again when it is needed.'}),
  }
}

const sizesOf = async (path: string): Promise<{sizeBytes: number; allocatedBytes: number}> => {
  const found = await stat(path).catch(() => undefined)
  return {sizeBytes: found?.size ?? 0, allocatedBytes: (found?.blocks ?? 0) * 512}
}

const timeOf = async (path: string): Promise<string | undefined> => (await stat(path).catch(() => undefined))?.mtime.toISOString()

const isWanted = ({entry, image: {name, path, sha256, publishedSha256}}: Listed, wanted: string): boolean => {
  const digest = /^(?:sha256[:-])?([0-9a-f]{12,64})$/.exec(wanted)?.[1]
  return (
    wanted === name ||
    wanted === path ||
    wanted === entry?.source ||
    wanted === basename(path) ||
    (digest !== undefined && [sha256, publishedSha256].some((each) => each?.startsWith(digest))) ||
    (entry !== undefined && URL.canParse(wanted) && urlKey(new URL(wanted)) === entry.key)
  )
}

const notFound = (wanted: string, all: readonly Listed[]): VmctlError => {
  const names = all.map(({image}) => image.name)
  return new VmctlError('vmctl::image::not_found', `There is no image ${JSON.stringify(wanted)} in the cache.`, {
    help: suggest(wanted, names) ?? 'Run `vmctl image list` to see what is there.',
    details: {names},
  })
}

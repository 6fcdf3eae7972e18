import {readdir, stat} from 'node:fs/promises'
import {join} from 'node:path'

import {ioError, readIfExists, writeFileAtomic} from '../host/files.ts'
import {hashFile} from '../host/hash.ts'
import {messageOf, systemCode} from '../model/errors.ts'
import type {Trust} from '../model/catalogue.ts'
import type {BaseImage, ImageFormat} from '../model/vm.ts'
import type {Algorithm, Digests} from './checksum.ts'
import {diskNamePattern, imageFiles, type ImageStore} from './image-store.ts'

/** Tells whether a local file is still the one that was hashed. */
export interface FileStamp {
  readonly sizeBytes: number
  readonly mtimeNs: string
  readonly inode: string
}

/** One file of `refs/`: what was fetched from one place, and which disk it became. Written once; a changed publication adds another. */
export interface CacheEntry {
  readonly schema: 1
  /** Hash of the URL (of a local file: of its file: URL), or of the name with what it is for. */
  readonly key: string
  /** URL without credentials and query values, path, or name in the catalogue; for people. */
  readonly source: string
  /** Where an image with a name came from. */
  readonly url?: string
  /** Where exactly this stays to be had, when the URL may come to mean something else: in a registry, by the digest of its manifest. */
  readonly pinned?: string
  readonly name: string
  /** The file as published, before decompression. */
  readonly published: Digests & {readonly sizeBytes: number; readonly etag?: string; readonly lastModified?: string}
  /** Absent for a local image that is used in place. */
  readonly disk?: {
    readonly file: string
    /** Its own digest. Of a disk that was only decompressed it is known when somebody has asked for it. */
    readonly sha256?: string
    readonly sizeBytes: number
    readonly virtualSizeBytes: number
    readonly format: ImageFormat
    /** The user said `format="raw"`; the content was not asked. */
    readonly isDeclaredRaw: boolean
    /** Whether it holds the published disk in another layout: what was compressed is not. */
    readonly isConverted?: boolean
    /** The file when its digest was last known to be right; absent in entries of vmctl 0.1.0. */
    readonly stamp?: FileStamp
  }
  /** Hashes of the checksum URLs that listed this publication. */
  readonly verifiedBy: readonly string[]
  /** The algorithms in which the publisher of an image with a name lists it. */
  readonly listed?: readonly Algorithm[]
  /** Absent in entries of vmctl 0.1.0. */
  readonly trust?: Trust
  readonly stamp?: FileStamp
  /** RFC 3339. */
  readonly fetchedAt: string
}

/** An index file that cannot be understood; it never stands in the way of the others. */
export interface DamagedEntry {
  readonly path: string
  readonly problem: string
}

/** Newest first. `key` limits the search to one place. */
export const readEntries = async (store: ImageStore, key = ''): Promise<{entries: CacheEntry[]; damaged: DamagedEntry[]}> => {
  const directory = imageFiles.refs(store)
  const names = await readdir(directory).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return []
    throw ioError('list', directory, error)
  })
  const entries: CacheEntry[] = []
  const damaged: DamagedEntry[] = []
  for (const name of names.filter((each) => each.startsWith(key) && each.endsWith('.json') && !each.startsWith('.'))) {
    const path = join(directory, name)
    try {
      const text = await readIfExists(path)
      if (text !== undefined) entries.push(parseEntry(text))
    } catch (error) {
      damaged.push({path, problem: messageOf(error)})
    }
  }
  entries.sort((left, right) => right.fetchedAt.localeCompare(left.fetchedAt))
  return {entries, damaged}
}

export const entryPath = (store: ImageStore, {key, published, disk}: CacheEntry): string => {
  const variant = disk === undefined ? 'file' : `${disk.format}${disk.isDeclaredRaw ? '-declared' : ''}`
  return join(imageFiles.refs(store), `${key}-${published.sha256.slice(0, 16)}-${variant}.json`)
}

export const writeEntry = async (store: ImageStore, entry: CacheEntry): Promise<void> =>
  writeFileAtomic(entryPath(store, entry), `${JSON.stringify(entry, null, 2)}\n`)

/**
 * The disk of an entry as an image, when its file is really there, whole. Looking at the file tells whether somebody has touched it
 * since its digest was known; only then is the digest computed again, which takes seconds. A disk of unknown digest that was touched is
 * none, unless it is a copy: it is fetched again.
 */
export const baseImageOf = async (store: ImageStore, {disk, published}: CacheEntry): Promise<BaseImage | undefined> => {
  if (!disk) return undefined
  const {format, virtualSizeBytes} = disk
  const path = join(store.directory, disk.file)
  const stamp = await stampOf(path)
  if (stamp?.sizeBytes !== disk.sizeBytes) return undefined
  if (disk.stamp && !isSameStamp(stamp, disk.stamp) && !(await isStill(path, {stamp, disk}))) return undefined
  return {path, format, virtualSizeBytes, sha256: published.sha256}
}

export type StoredDisk = NonNullable<CacheEntry['disk']>

/** Whether a file that is not as it was left is the same disk: by its digest, or, without one, as a copy (`cp -a`, tar) with its time. */
const isStill = async (path: string, {stamp, disk}: {readonly stamp: FileStamp; readonly disk: StoredDisk}): Promise<boolean> =>
  disk.sha256 === undefined ? isUntouched(stamp, disk.stamp) : (await hashFile(path)) === disk.sha256

/** Whether nobody has written to a file since it was left. A copy of it is as good, although archives keep no more than the second. */
export const isUntouched = (now: FileStamp, left: FileStamp | undefined): boolean => {
  if (!left || now.sizeBytes !== left.sizeBytes) return false
  const second = ({mtimeNs}: FileStamp): string => mtimeNs.slice(0, -9)
  return now.inode === left.inode ? now.mtimeNs === left.mtimeNs : second(now) === second(left)
}

/** Of a regular file; undefined when there is none. */
export const stampOf = async (path: string): Promise<FileStamp | undefined> => {
  const found = await stat(path, {bigint: true}).catch(() => undefined)
  return found?.isFile() ? {sizeBytes: Number(found.size), mtimeNs: `${found.mtimeNs}`, inode: `${found.dev}:${found.ino}`} : undefined
}

export const isSameStamp = (left: FileStamp, right: FileStamp): boolean =>
  left.sizeBytes === right.sizeBytes && left.mtimeNs === right.mtimeNs && left.inode === right.inode

const isHex = (value: unknown, length: number): boolean => typeof value === 'string' && value.length === length && /^[0-9a-f]+$/.test(value)

/** The name is checked by pattern, so that no entry can lead out of the directory. */
const isWholeDisk = (disk: StoredDisk): boolean =>
  diskNamePattern.test(disk.file) &&
  (disk.sha256 === undefined || isHex(disk.sha256, 64)) &&
  Number.isSafeInteger(disk.sizeBytes) &&
  Number.isSafeInteger(disk.virtualSizeBytes)

const parseEntry = (text: string): CacheEntry => {
  const entry = JSON.parse(text) as CacheEntry
  const {published, disk} = entry
  const isWhole =
    entry.schema === 1 &&
    isHex(entry.key, 64) &&
    [entry.source, entry.name, entry.fetchedAt].every((field) => typeof field === 'string') &&
    Array.isArray(entry.verifiedBy) &&
    isHex(published?.sha256, 64) &&
    isHex(published.sha512, 128) &&
    (disk === undefined || isWholeDisk(disk))
  if (!isWhole) throw new TypeError('it is not an image index file of this version')
  return entry
}

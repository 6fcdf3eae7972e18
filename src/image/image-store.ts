import {join} from 'node:path'

import type {Architecture, Trust} from '../model/catalogue.ts'
import type {LockedDigests} from '../model/lock.ts'
import type {BaseImage, ImageFormat, ImageReference} from '../model/vm.ts'
import type {ExpectedDigests} from './checksum.ts'
import type {ImageListener} from './events.ts'
import type {ImageSource} from './image-source.ts'
import type {DownloadTurns} from './turns.ts'

/** Where images are kept, and where they come from. */
export interface ImageStore {
  /** `images` in the state directory. */
  readonly directory: string
  /** `locks` in the state directory. */
  readonly lockDirectory: string
  readonly sources: readonly ImageSource[]
  /** How names are looked up; without it none can be fetched. */
  readonly resolve?: ResolveName
  /** How many downloads go on at once; any number without it. */
  readonly turns?: DownloadTurns
  /** Whether its sources refuse to fetch. */
  readonly isOffline?: boolean
}

/** Where an image of a name is now, and how far that can be trusted. */
export interface ResolvedImage {
  /** The file that never changes: at mirrors, if there are any, then at its publisher. */
  readonly urls: readonly string[]
  readonly digests: ExpectedDigests
  readonly trust: Trust
  /** What the same list says for other processors, which has cost no request. */
  readonly others?: readonly ResolvedForOther[]
}

export interface ResolvedForOther extends Omit<ResolvedImage, 'others'> {
  readonly architecture: Architecture
}

/** @throws VmctlError `vmctl::image::…` */
export type ResolveName = (
  reference: ImageReference,
  options: {readonly signal: AbortSignal; readonly onNotice: (message: string) => void},
) => Promise<ResolvedImage>

export interface EnsureOptions {
  readonly signal: AbortSignal
  readonly onEvent?: ImageListener | undefined
  /** Gets what the user should know and that is not an error, in whole sentences. */
  readonly onNotice?: ((message: string) => void) | undefined
  /** What to call the image in lists; the last segment of the URL when absent. */
  readonly name?: string | undefined
  /** Whether an image by URL is fetched although it is in the cache, which keeps what it has until the new one is there. */
  readonly fresh?: boolean | undefined
  /** Whether the publisher of an image with a name is asked for a newer build; the bytes are fetched only when they are others. */
  readonly refresh?: boolean | undefined
  /** The one build that is wanted: its bytes are used from wherever they come, and no others. */
  readonly locked?: Locked | undefined
  /** Gets what the publisher of an image with a name says now, before anything is fetched; may throw to have nothing fetched. */
  readonly onResolved?: ((resolved: ResolvedImage) => void) | undefined
}

/** A build that is known by its digest. */
export interface Locked {
  readonly digests: LockedDigests
  /** Where an image with a name may be, the best place first; one by URL is where its reference says. */
  readonly urls: readonly string[]
}

export interface EnsuredImage {
  readonly image: BaseImage
  /** For people: a path, or a URL without secrets. */
  readonly source: string
  /** Whether anything had to be fetched or decompressed. */
  readonly isFresh: boolean
}

interface DiskName {
  readonly publishedSha256: string
  readonly isUnpacked: boolean
  readonly format: ImageFormat
}

type Places = Pick<ImageStore, 'directory' | 'lockDirectory'>

/**
 * Every file of the cache, once:
 * `sha256-HEX.FORMAT` disks as they were published, `sha256-HEX-disk.FORMAT` what was unpacked from a publication with that digest,
 * read-only and never replaced; `refs/*.json` what was fetched from where;
 * `keys/FINGERPRINT.asc` keys of publishers;
 * `partial/KEY` a download on its way, `partial/KEY.json` how to resume it, `partial/KEY.disk` its decompression, `partial/KEY.plain`
 * the same without compressed clusters.
 */
export const imageFiles = {
  disk: (store: Places, {publishedSha256, isUnpacked, format}: DiskName): string =>
    join(store.directory, `sha256-${publishedSha256}${isUnpacked ? '-disk' : ''}.${format}`),
  refs: (store: Places): string => join(store.directory, 'refs'),
  /** Keys of publishers, each by its fingerprint. */
  keys: (store: Pick<Places, 'directory'>): string => join(store.directory, 'keys'),
  partials: (store: Places): string => join(store.directory, 'partial'),
  partial: (store: Places, key: string): string => join(store.directory, 'partial', key),
  /** Held while one image is fetched. */
  fetchLock: (store: Places, key: string): string => join(store.lockDirectory, `image-${key}.lock`),
  /** Held for the moment in which a disk and its index entry are added or removed. */
  indexLock: (store: Places): string => join(store.lockDirectory, 'images.lock'),
} as const

/** How disks in the cache are called. vmctl 0.1 named an unpacked one by its own digest. */
export const diskNamePattern = /^sha256-[0-9a-f]{64}(?:-disk)?\.(?:qcow2|raw|vmdk|vdi|vhdx)$/

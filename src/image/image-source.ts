import {VmctlError} from '../model/errors.ts'
import type {ImageReference} from '../model/vm.ts'
import type {Digests, ExpectedDigests} from './checksum.ts'

export interface DownloadProgress {
  /** Bytes on disk, those of an earlier, cut run included. */
  readonly receivedBytes: number
  /** Unknown when the server does not say. */
  readonly totalBytes?: number
}

export interface FetchOptions {
  readonly signal: AbortSignal
  readonly onProgress?: (progress: DownloadProgress) => void
  /** Told in words when the source starts over or tries again: `the connection was cut; trying again in 2 s`. */
  readonly onRetry?: (reason: string) => void
  /** Whether the same bytes are to be had elsewhere, so that a source which does not answer is soon given up. */
  readonly hasOther?: boolean
}

/** What was fetched: the file as published, before decompression. */
export interface FetchedImage {
  /** File name as published, for its extension (`.zst`, `.gz`, …) and for people. Never used as a path. */
  readonly name: string
  /** What to call it in lists, when that is more telling than the name of a file. */
  readonly label?: string
  /** Where exactly this stays to be had, when its address may come to mean something else. */
  readonly pinned?: string
  readonly digests: Digests
  readonly sizeBytes: number
  readonly etag?: string
  readonly lastModified?: string
}

/** Where images come from, by URL scheme. Extension point. */
export interface ImageSource {
  /** Schemes without colon: `https`, `oci`. */
  readonly schemes: readonly string[]
  /**
   * Streams the image to `path`, a file that belongs to this call. It may hold the first part of an earlier, cut fetch of the same
   * URL; what the source needs to know for resuming it may keep in `PATH.json`. Both survive a failure and are removed by the
   * caller otherwise; a source that finds them unusable starts over.
   * Must verify the length and every digest of the reference, and flush the file; throws a VmctlError otherwise.
   */
  fetch(reference: ImageReference, path: string, options: FetchOptions): Promise<FetchedImage>
  /** What `checksumUrl` of the reference lists now. Without it an image in the cache is fetched again when a `checksumUrl` is added. */
  publishedDigests?(reference: ImageReference, options: {readonly signal: AbortSignal}): Promise<ExpectedDigests>
  /** Whether a reference whose meaning may change, such as a tag, means something else now than what was fetched. Asked by `image pull`. */
  hasMoved?(
    reference: ImageReference,
    fetched: {readonly sha256: string; readonly etag?: string},
    options: {readonly signal: AbortSignal},
  ): Promise<boolean>
}

/** A source for a place that is not the only one. */
export const oneOfSeveral = (source: ImageSource): ImageSource => ({
  ...source,
  fetch: (reference, path, options) => source.fetch(reference, path, {...options, hasOther: true}),
})

/** @throws VmctlError `vmctl::usage::invalid` when no source knows the scheme */
export const sourceFor = (sources: readonly ImageSource[], url: URL): ImageSource => {
  const scheme = url.protocol.slice(0, -1)
  const source = sources.find(({schemes}) => schemes.includes(scheme))
  if (source) return source
  const known = sources.flatMap(({schemes}) => schemes).join(', ')
  throw new VmctlError('vmctl::usage::invalid', `vmctl cannot fetch images from ${scheme}: URLs.`, {
    help: `These schemes work here: ${known}.`,
  })
}

import type {ImageReference} from '../model/vm.ts'

export interface DownloadProgress {
  readonly receivedBytes: number
  /** Unknown when the server does not say. */
  readonly totalBytes?: number
}

export interface FetchOptions {
  readonly signal: AbortSignal
  readonly onProgress?: (progress: DownloadProgress) => void
}

/** What was fetched: the file as published, before decompression. */
export interface FetchedImage {
  /** File name as published, for its extension (`.zst`, `.gz`, …) and for people. Never used as a path. */
  readonly name: string
  readonly sha256: string
  readonly etag?: string
  readonly lastModified?: string
}

/** Where images come from, by URL scheme. Extension point. */
export interface ImageSource {
  /** Schemes without colon: `https`, `oci`. */
  readonly schemes: readonly string[]
  /**
   * Streams the image to `path` (a file that belongs to this call; it may hold the first part of an earlier, cut fetch).
   * Must verify length and any digest of the reference; throws a VmctlError otherwise.
   */
  fetch(reference: ImageReference, path: string, options: FetchOptions): Promise<FetchedImage>
}

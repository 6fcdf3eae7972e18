import {chmod, stat} from 'node:fs/promises'

import {remove} from '../host/durable.ts'
import {isFailure} from '../model/errors.ts'
import type {ImageReference} from '../model/vm.ts'
import {auditImage, type AuditedImage, readHead} from './audit.ts'
import {detectCompression} from './compression.ts'
import {decompressFile} from './decompress.ts'
import {type ImageListener, throttled} from './events.ts'
import type {FetchedImage, ImageSource} from './image-source.ts'
import {removePartial} from './partial.ts'

export interface FetchDiskOptions {
  readonly signal: AbortSignal
  readonly onEvent?: ImageListener | undefined
  /** How the image is called in events and errors. */
  readonly displayName: string
}

/** A disk that is whole, verified and audited, under a temporary name. */
export interface FetchedDisk {
  readonly path: string
  readonly sha256: string
  readonly fetched: FetchedImage
  readonly audited: AuditedImage
}

/** After these the bytes are worthless; after any other failure (a cut, a full disk, Ctrl+C) the next run goes on with them. */
const spoilt = [
  'vmctl::image::checksum_mismatch',
  'vmctl::image::decompression_failed',
  'vmctl::image::refused',
  'vmctl::image::format_detection_failed',
] as const

/**
 * Fetches an image to `partial` and decompresses it beside that. The caller gives the result its final name, then calls `removePartial`.
 * @param partial a path that this process alone uses; a left-over there is continued
 */
export const fetchDisk = async (
  source: ImageSource,
  job: {readonly reference: ImageReference; readonly partial: string},
  options: FetchDiskOptions,
): Promise<FetchedDisk> => {
  const {reference, partial} = job
  try {
    const fetched = await source.fetch(reference, partial, {
      signal: options.signal,
      onProgress: throttled(
        (progress) => options.onEvent?.({type: 'image.progress', source: options.displayName, ...progress}),
        ({receivedBytes, totalBytes}) => receivedBytes === totalBytes,
      ),
      onRetry: (reason) => options.onEvent?.({type: 'image.retrying', source: options.displayName, reason}),
    })
    await chmod(partial, 0o600)
    const file = await toDisk({path: partial, name: fetched.name, sha256: fetched.digests.sha256}, decompressedPath(partial), options)
    const audited = await auditImage(file.path, {declaredFormat: reference.format, signal: options.signal, source: options.displayName})
    return {...file, fetched, audited}
  } catch (error) {
    await remove(decompressedPath(partial))
    if (isFailure(error, ...spoilt) || (await isEmpty(partial))) await removePartial(partial)
    throw error
  }
}

const isEmpty = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.size === 0

export const decompressedPath = (partial: string): string => `${partial}.disk`

/** Decompresses a file to `destination` when it is compressed, and leaves it where it is otherwise. */
export const toDisk = async (
  file: {readonly path: string; readonly name: string; readonly sha256: string},
  destination: string,
  options: FetchDiskOptions,
): Promise<{path: string; sha256: string}> => {
  const {head} = await readHead(file.path, 64)
  const compression = detectCompression(file.name, head)
  if (compression === undefined) return {path: file.path, sha256: file.sha256}
  await remove(destination)
  try {
    const {sha256} = await decompressFile({path: file.path, compression}, destination, {
      signal: options.signal,
      onProgress: throttled(
        (progress) => options.onEvent?.({type: 'image.decompressing', source: options.displayName, ...progress}),
        () => false,
      ),
    })
    return {path: destination, sha256}
  } catch (error) {
    if (!isFailure(error, 'vmctl::image::decompression_failed')) throw error
    throw error.reword({message: `Cannot decompress ${options.displayName}: ${error.message}`})
  }
}

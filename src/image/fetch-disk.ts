import {chmod, stat} from 'node:fs/promises'

import {remove} from '../host/durable.ts'
import {isFailure} from '../model/errors.ts'
import type {ImageReference} from '../model/vm.ts'
import {type PackedFile, unpackArchive} from './archive.ts'
import {auditImage, type AuditedImage, readHead} from './audit.ts'
import {detectPacking, packingBytes} from './compression.ts'
import {decompressFile} from './decompress.ts'
import {type ImageListener, throttled} from './events.ts'
import type {FetchedImage, ImageSource} from './image-source.ts'
import {removePartial} from './partial.ts'
import {toPlainDisk} from './plain-disk.ts'

export interface FetchDiskOptions {
  readonly signal: AbortSignal
  readonly onEvent?: ImageListener | undefined
  readonly onNotice?: ((message: string) => void) | undefined
  /** How the image is called in events and errors. */
  readonly displayName: string
  /** Whether what is compressed inside of the disk is unpacked, too. */
  readonly isPlain?: boolean
}

/** A disk that is whole, verified and audited, under a temporary name. */
export interface FetchedDisk extends UnpackedDisk {
  readonly fetched: FetchedImage
  readonly audited: AuditedImage
}

/** After these the bytes are worthless; after any other failure (a cut, a full disk, Ctrl+C) the next run goes on with them. */
const spoilt = [
  'vmctl::image::checksum_mismatch',
  'vmctl::image::decompression_failed',
  'vmctl::image::refused',
  'vmctl::image::format_detection_failed',
  'vmctl::image::conversion_failed',
] as const

/**
 * Fetches an image to `partial` and unpacks it beside that. The caller gives the result its final name, then removes the rest.
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
    const disk = options.isPlain
      ? await toPlainDisk({...file, audited}, plainPath(partial), {...options, source: options.displayName})
      : file
    return {...disk, fetched, audited}
  } catch (error) {
    for (const path of unpackedPaths(partial)) await remove(path)
    if (isFailure(error, ...spoilt) || (await isEmpty(partial))) await removePartial(partial)
    throw error
  }
}

const isEmpty = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.size === 0

export const decompressedPath = (partial: string): string => `${partial}.disk`

export const plainPath = (partial: string): string => `${partial}.plain`

/** What is made of a partial file on the way to a disk. */
export const unpackedPaths = (partial: string): string[] => [decompressedPath(partial), plainPath(partial)]

interface UnpackedDisk {
  readonly path: string
  /** Digest of the disk itself, where it costs next to nothing: not of one that was only decompressed. */
  readonly sha256?: string
  /** Whether it was made free of compressed clusters. */
  readonly isConverted?: true
}

/** Unpacks a file to `destination` when it is packed, and leaves it where it is otherwise. */
const toDisk = async (
  file: {readonly path: string; readonly name: string; readonly sha256: string},
  destination: string,
  options: FetchDiskOptions,
): Promise<UnpackedDisk> => {
  const {head} = await readHead(file.path, packingBytes)
  const packing = detectPacking(file.name, head)
  if (packing === undefined) return {path: file.path, sha256: file.sha256}
  await unpack({path: file.path, packing}, destination, options)
  return {path: destination}
}

/** Decompresses a file, or takes the disk out of an archive, to `destination`, in place of what an earlier run has left there. */
export const unpack = async ({path, packing}: PackedFile, destination: string, options: FetchDiskOptions): Promise<void> => {
  await remove(destination)
  const {signal, displayName: source, onNotice} = options
  const onProgress = throttled<{readonly readBytes: number; readonly totalBytes: number}>(
    (progress) => options.onEvent?.({type: 'image.decompressing', source, ...progress}),
    () => false,
  )
  try {
    const isArchive = await unpackArchive({path, packing}, destination, {signal, source, onProgress, onNotice})
    if (!isArchive && packing !== 'tar') await decompressFile({path, compression: packing}, destination, {signal, onProgress})
  } catch (error) {
    if (!isFailure(error, 'vmctl::image::decompression_failed')) throw error
    throw error.reword({message: `Cannot decompress ${source}: ${error.message}`})
  }
}

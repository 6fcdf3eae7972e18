import {realpath, stat} from 'node:fs/promises'

import {ioError} from '../host/files.ts'
import {imageInfo} from '../host/qemu-img.ts'
import {systemCode, VmctlError} from '../model/errors.ts'
import {readHead} from './audit.ts'
import {detectPacking} from './compression.ts'
import {sniffDisk} from './disk-format.ts'
import {findMissingClusters} from './qcow2-clusters.ts'

/** What `vmctl image inspect` shows. */
export interface ImageInspection {
  readonly path: string
  /** As qemu-img names it, or how the image is packed (`gzip`, `tar`, …); `unknown` when it is neither. */
  readonly format: string
  /** Length of the file, holes included. */
  readonly sizeBytes: number
  readonly allocatedBytes: number
  /** What a guest would see; absent when the image cannot be opened safely. */
  readonly virtualSizeBytes?: number
  readonly backingFile?: string
  /** Why vmctl would not use it as a base image. */
  readonly objection?: string
}

/**
 * Describes an image without using it. What its header references is told and never opened; an overlay of vmctl's own is
 * shown with its backing file.
 * @throws VmctlError `vmctl::image::not_found`, `vmctl::qemu::not_installed`
 */
export const inspectImage = async (path: string, options: {readonly signal?: AbortSignal} = {}): Promise<ImageInspection> => {
  const absolute = await realpath(path).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'ENOTDIR') throw ioError('find the image', path, error)
    throw new VmctlError('vmctl::image::not_found', `There is no image at ${path}.`, {cause: error})
  })
  const found = await stat(absolute)
  if (!found.isFile()) throw new VmctlError('vmctl::image::not_found', `${path} is not a file.`)
  const {head, fileBytes} = await readHead(absolute)
  const sizes = {path: absolute, sizeBytes: found.size, allocatedBytes: found.blocks * 512}
  const compression = detectPacking('', head)
  if (compression !== undefined) return {...sizes, format: compression}
  const sniffed = sniffDisk(head, fileBytes)
  if (sniffed.kind === 'unknown') return {...sizes, format: 'unknown', objection: `it looks like ${sniffed.looksLike}`}
  if (sniffed.kind === 'refused') {
    return {
      ...sizes,
      format: sniffed.format ?? 'unknown',
      objection: sniffed.reason,
      ...(sniffed.virtualSizeBytes === undefined ? {} : {virtualSizeBytes: sniffed.virtualSizeBytes}),
      ...(sniffed.backingFile === undefined ? {} : {backingFile: sniffed.backingFile}),
    }
  }
  const {format, virtualSizeBytes} = await imageInfo(absolute, {...options, format: sniffed.format})
  const objection = sniffed.format === 'qcow2' ? await findMissingClusters(absolute) : undefined
  return {...sizes, format, virtualSizeBytes, ...(objection !== undefined && {objection})}
}

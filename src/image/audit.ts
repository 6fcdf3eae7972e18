import {open} from 'node:fs/promises'

import {ioError} from '../host/files.ts'
import {imageInfo, type QemuImgInfo} from '../host/qemu-img.ts'
import {VmctlError} from '../model/errors.ts'
import type {ImageFormat} from '../model/vm.ts'
import {sniffBytes, sniffDisk} from './disk-format.ts'
import {findMissingClusters} from './qcow2-clusters.ts'

export interface AuditedImage {
  readonly format: ImageFormat
  readonly virtualSizeBytes: number
}

export interface AuditOptions {
  /** What the user says it is. `raw` is taken as given; any other must be what is found. */
  readonly declaredFormat?: ImageFormat | undefined
  readonly signal?: AbortSignal | undefined
  /** How the user knows the image, for messages: a URL or a path. */
  readonly source: string
}

const maxVirtualSizeBytes = 64 * 2 ** 40

/**
 * Makes sure that a file is a self-contained disk image before QEMU opens it: no backing file, no data in other files,
 * no encryption, no absurd size, nothing missing. Our own look at the header comes first, so that qemu-img follows no reference.
 * @throws VmctlError `vmctl::image::refused`, `vmctl::image::format_detection_failed`, `vmctl::qemu::not_installed`
 */
export const auditImage = async (path: string, options: AuditOptions): Promise<AuditedImage> => {
  const format = await detectSafely(path, options)
  const info = await imageInfo(path, {format, signal: options.signal})
  const objection = objectionTo(info, path) ?? (format === 'qcow2' ? await findMissingClusters(path) : undefined)
  if (objection !== undefined) throw refused(options.source, objection)
  return {format, virtualSizeBytes: info.virtualSizeBytes}
}

/**
 * The format of a disk image, from its own bytes.
 * @throws VmctlError `vmctl::image::refused`, `vmctl::image::format_detection_failed`
 */
export const detectFormat = async (path: string): Promise<ImageFormat> => detectSafely(path, {source: path})

/** The first bytes of a file and its length. */
export const readHead = async (path: string, length: number = sniffBytes): Promise<{head: Buffer; fileBytes: number}> => {
  try {
    await using handle = await open(path, 'r')
    const {size} = await handle.stat()
    const {buffer, bytesRead} = await handle.read(Buffer.alloc(Math.min(length, size)), 0, Math.min(length, size), 0)
    return {head: buffer.subarray(0, bytesRead), fileBytes: size}
  } catch (error) {
    throw ioError('read', path, error)
  }
}

const detectSafely = async (path: string, {declaredFormat, source}: AuditOptions): Promise<ImageFormat> => {
  if (declaredFormat === 'raw') return 'raw'
  const {head, fileBytes} = await readHead(path)
  const sniffed = sniffDisk(head, fileBytes)
  if (sniffed.kind === 'refused') throw refused(source, sniffed.reason)
  if (sniffed.kind === 'unknown') {
    throw new VmctlError('vmctl::image::format_detection_failed', `${source} is not a disk image; it looks like ${sniffed.looksLike}.`, {
      help: 'Check the path or URL. If it really is a raw disk without a partition table or file system, say so in a VMFile: `image "PATH" format="raw"`.',
    })
  }
  if (declaredFormat !== undefined && declaredFormat !== sniffed.format) {
    throw new VmctlError(
      'vmctl::image::format_detection_failed',
      `${source} is declared as ${declaredFormat}, but it is ${sniffed.format}.`,
      {help: 'Correct `format`, or leave it out: vmctl finds it by itself.'},
    )
  }
  return sniffed.format
}

const objectionTo = (info: QemuImgInfo, path: string): string | undefined => {
  if (info.backingFile !== undefined) return `it has a backing file: ${JSON.stringify(info.backingFile)}`
  if (info.dataFile !== undefined) return `it keeps its data in another file: ${JSON.stringify(info.dataFile)}`
  if (info.encrypted) return 'it is encrypted'
  if (info.extents.some((extent) => extent !== path)) return 'it spreads over several files'
  if (info.virtualSizeBytes > maxVirtualSizeBytes) return `its disk claims ${info.virtualSizeBytes} bytes, more than 64 TiB`
  if (info.virtualSizeBytes <= 0) return 'its disk is empty'
  return undefined
}

const refused = (source: string, reason: string): VmctlError =>
  new VmctlError('vmctl::image::refused', `The image ${source} is refused: ${reason}.`, {details: {source, reason}})

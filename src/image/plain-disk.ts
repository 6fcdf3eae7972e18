import {dirname} from 'node:path'

import {freeSpaceBytes} from '../host/disk-space.ts'
import {hashFile} from '../host/hash.ts'
import {convertImage} from '../host/qemu-img.ts'
import {VmctlError} from '../model/errors.ts'
import type {AuditedImage} from './audit.ts'
import type {ImageListener} from './events.ts'
import {readClusters} from './qcow2-clusters.ts'

interface Disk {
  readonly path: string
  readonly sha256?: string
  readonly audited: AuditedImage
}

interface PlainDisk extends Disk {
  readonly isConverted?: true
}

/** Reading zlib clusters takes a second for 150 MB; a slow machine gets ten times as long. */
const bytesPerCpuSecond = 15e6
const leastCpuSeconds = 30

/**
 * An audited disk without compressed clusters: a guest that boots from those spends a fifth of its CPU time on unpacking the same ones
 * again and again. What has none stays as it is.
 * @param destination where a new one goes
 * @throws VmctlError `vmctl::image::no_space` before anything is written, when it will not fit; `vmctl::image::conversion_failed`
 */
export const toPlainDisk = async (
  disk: Disk,
  destination: string,
  options: {readonly signal: AbortSignal; readonly source: string; readonly onEvent?: ImageListener | undefined},
): Promise<PlainDisk> => {
  const {path, audited} = disk
  const {signal, source, onEvent} = options
  if (audited.format !== 'qcow2') return disk
  const {hasCompressed, dataBytes, fileBytes} = await readClusters(path)
  if (!hasCompressed) return disk
  const freeBytes = await freeSpaceBytes(dirname(destination))
  if (dataBytes > freeBytes) {
    throw new VmctlError(
      'vmctl::image::no_space',
      `The disk of ${source} holds ${dataBytes} bytes when it is unpacked, and ${freeBytes} are free in ${dirname(destination)}.`,
      {details: {neededBytes: dataBytes, freeBytes}},
    )
  }
  const limits = {cpuSeconds: leastCpuSeconds + Math.ceil(dataBytes / bytesPerCpuSecond), fileBytes: freeBytes}
  const onProgress = (done: number): void =>
    onEvent?.({type: 'image.decompressing', source, readBytes: Math.round(done * fileBytes), totalBytes: fileBytes})
  await convertImage({path, format: 'qcow2'}, {path: destination, format: 'qcow2'}, {signal, limits, onProgress})
  // Against the conversion it costs next to nothing to know the digest at once.
  return {path: destination, sha256: await hashFile(destination), audited, isConverted: true}
}

import {chmod} from 'node:fs/promises'
import {isAbsolute} from 'node:path'

import {type FailureCode, isFailure, messageOf, VmctlError} from '../model/errors.ts'
import type {BaseImage, ImageFormat} from '../model/vm.ts'
import {remove, rename} from './durable.ts'
import {ioError, temporaryPath} from './files.ts'
import {describeExit, lastLines, run, type RunResult, runUnderLimits} from './process.ts'

export interface QemuImgOptions {
  readonly signal?: AbortSignal | undefined
}

/** What `qemu-img info` says; only what vmctl reads. */
export interface QemuImgInfo {
  readonly format: string
  readonly virtualSizeBytes: number
  /** Bytes on disk, holes not counted. */
  readonly allocatedBytes: number
  readonly backingFile?: string
  readonly dataFile?: string
  readonly encrypted: boolean
  /** Files that a VMDK is made of, the image itself included. */
  readonly extents: readonly string[]
}

/** The rule of OpenStack for images of others: 1 GiB of address space, and CPU time and wall time with room for a slow disk. */
const limits = {addressSpaceBytes: 2 ** 30, cpuSeconds: 10, timeoutMs: 30_000}

/**
 * Reads the header of an image with `qemu-img info` under limits of memory, CPU and time. The format is given, never guessed
 * from the content, wherever it is known.
 * @throws VmctlError `vmctl::image::format_detection_failed`, `vmctl::qemu::not_installed`
 */
export const imageInfo = async (path: string, options: QemuImgOptions & {readonly format?: ImageFormat} = {}): Promise<QemuImgInfo> => {
  // -U: the overlay of a running VM is locked by its QEMU, and looking at a header does not disturb it.
  const args = ['info', '--output=json', '-U', ...(options.format ? ['-f', options.format] : []), fileName(path)]
  const result = await runLimited(args, options.signal)
  if (result.exitCode !== 0) {
    throw new VmctlError('vmctl::image::format_detection_failed', `qemu-img cannot read ${path}: ${explain(result)}`)
  }
  return parseInfo(path, result.stdout)
}

export interface OverlayOptions extends QemuImgOptions {
  /** Size of the new disk; that of the base when absent. */
  readonly sizeBytes?: number
}

/**
 * Makes a qcow2 file at `path` that reads through to the base image and takes all writes. It appears as a whole or not at all.
 * @throws VmctlError `vmctl::image::disk_too_small`, `vmctl::image::overlay_creation_failed`, `vmctl::qemu::not_installed`
 */
export const createOverlay = async (base: BaseImage, path: string, options: OverlayOptions = {}): Promise<void> => {
  const sizeBytes = options.sizeBytes ?? base.virtualSizeBytes
  if (sizeBytes < base.virtualSizeBytes) {
    throw new VmctlError(
      'vmctl::image::disk_too_small',
      `A disk of ${sizeBytes} bytes is smaller than its image ${base.path}, which has ${base.virtualSizeBytes}.`,
      {details: {diskBytes: sizeBytes, imageBytes: base.virtualSizeBytes}},
    )
  }
  await produce(path, 'vmctl::image::overlay_creation_failed', (temporary) =>
    // The size is always given: without it a base whose length is not a multiple of 512 would be rounded down.
    qemuImg(['create', '-q', '-f', 'qcow2', '-F', base.format, '-b', fileName(base.path), temporary, `${sectors(sizeBytes)}`], options),
  )
}

/**
 * Makes an overlay that nothing uses read through to the same base image at another place. Its own content stays as it is.
 * @throws VmctlError `vmctl::image::overlay_creation_failed`, `vmctl::qemu::not_installed`
 */
export const repointOverlay = async (
  base: Pick<BaseImage, 'path' | 'format'>,
  path: string,
  options: QemuImgOptions = {},
): Promise<void> => {
  await translated('vmctl::image::overlay_creation_failed', () =>
    qemuImg(['rebase', '-q', '-u', '-f', 'qcow2', '-F', base.format, '-b', fileName(base.path), fileName(path)], options),
  )
}

/**
 * Writes what an overlay has into the image that it reads through to, which shows the same from then on. The overlay stays as it is.
 * Interrupted at any time, the overlay shows the same as before.
 * @throws VmctlError `vmctl::snapshot::busy` when a process uses one of the two, `vmctl::image::conversion_failed`, `vmctl::image::no_space`
 */
export const mergeOverlay = async (path: string, options: QemuImgOptions = {}): Promise<void> => {
  await translated('vmctl::image::conversion_failed', () =>
    qemuImg(['commit', '-q', '-d', '-f', 'qcow2', fileName(path)], options).catch((error: unknown) => {
      if (!/Failed to get .*lock/.test(messageOf(error))) throw error
      throw new VmctlError('vmctl::snapshot::busy', `The disk ${path} is in use by another process.`, {cause: error})
    }),
  )
}

/**
 * Makes an empty qcow2 disk at `path`. It appears as a whole or not at all.
 * @throws VmctlError `vmctl::volume::creation_failed`, `vmctl::image::no_space`, `vmctl::qemu::not_installed`
 */
export const createDisk = async (path: string, sizeBytes: number, options: QemuImgOptions = {}): Promise<void> => {
  await produce(path, 'vmctl::volume::creation_failed', (temporary) =>
    qemuImg(['create', '-q', '-f', 'qcow2', temporary, `${sectors(sizeBytes)}`], options),
  )
}

/**
 * Grows the virtual disk of an image that nothing uses. Never shrinks.
 * @throws VmctlError `vmctl::image::disk_too_small` when it is larger already
 */
export const growImage = async (
  path: string,
  sizeBytes: number,
  options: QemuImgOptions & {readonly format?: ImageFormat} = {},
): Promise<void> => {
  const format = options.format ?? 'qcow2'
  const {virtualSizeBytes} = await imageInfo(path, {...options, format})
  if (sizeBytes === virtualSizeBytes) return
  if (sizeBytes < virtualSizeBytes) {
    throw new VmctlError('vmctl::image::disk_too_small', `${path} has ${virtualSizeBytes} bytes; it cannot shrink to ${sizeBytes}.`, {
      details: {diskBytes: sizeBytes, imageBytes: virtualSizeBytes},
    })
  }
  await translated('vmctl::image::conversion_failed', () =>
    qemuImg(['resize', '-q', '-f', format, fileName(path), `${sectors(sizeBytes)}`], options),
  )
}

/**
 * Copies an image into another format. The result appears as a whole or not at all; holes stay holes.
 * @throws VmctlError `vmctl::image::conversion_failed`, `vmctl::qemu::not_installed`
 */
export const convertImage = async (
  source: {readonly path: string; readonly format: ImageFormat},
  destination: {readonly path: string; readonly format: ImageFormat},
  options: QemuImgOptions = {},
): Promise<void> => {
  await produce(destination.path, 'vmctl::image::conversion_failed', (temporary) =>
    qemuImg(['convert', '-q', '-f', source.format, '-O', destination.format, fileName(source.path), temporary], options),
  )
}

/**
 * A path as qemu-img takes it literally. A relative one may look like an option, a protocol (`nbd:…`) or a JSON description
 * (`json:{…}`), and would be stored in an overlay relative to the overlay.
 */
const fileName = (path: string): string => {
  if (!isAbsolute(path)) throw new TypeError(`qemu-img needs an absolute path: ${path}`)
  return path
}

const sectors = (bytes: number): number => Math.ceil(bytes / 512) * 512

const notInstalled = {code: 'vmctl::qemu::not_installed'} as const

const qemuImg = async (args: readonly string[], {signal}: QemuImgOptions): Promise<void> => {
  const result = await run('qemu-img', args, {signal, notInstalled})
  if (result.exitCode !== 0) throw new VmctlError('vmctl::host::program_failed', `qemu-img: ${explain(result)}`)
}

const runLimited = (args: readonly string[], signal: AbortSignal | undefined): Promise<RunResult> =>
  runUnderLimits([`--as=${limits.addressSpaceBytes}`, `--cpu=${limits.cpuSeconds}`], ['qemu-img', ...args], {
    signal,
    timeoutMs: limits.timeoutMs,
    notInstalled,
  })

const explain = (result: RunResult): string =>
  lastLines(result.stderr, 3).replaceAll(/^qemu-img: /gm, '') || `qemu-img ${describeExit(result)}`

/** Runs a step that writes a temporary file, then gives the file its name. */
const produce = async (path: string, code: FailureCode, write: (temporary: string) => Promise<void>): Promise<void> => {
  const temporary = temporaryPath(fileName(path))
  try {
    await translated(code, () => write(temporary))
    // qemu-img makes files that everybody may read, as far as the umask allows.
    await chmod(temporary, 0o600)
    await rename(temporary, path).catch((error: unknown) => {
      throw ioError('write', path, error)
    })
  } finally {
    await remove(temporary)
  }
}

/** Gives the failure of a program the code of what was being done. */
const translated = async (code: FailureCode, step: () => Promise<void>): Promise<void> => {
  try {
    await step()
  } catch (error) {
    if (!isFailure(error, 'vmctl::host::program_failed')) throw error
    const full = /No space left on device/.test(error.message)
    throw new VmctlError(full ? 'vmctl::image::no_space' : code, error.message, {cause: error})
  }
}

const parseInfo = (path: string, text: string): QemuImgInfo => {
  try {
    const info: Record<string, unknown> = JSON.parse(text)
    const specific = record(record(info['format-specific'])['data'])
    const backingFile = info['full-backing-filename'] ?? info['backing-filename']
    if (typeof info['format'] !== 'string' || !Number.isSafeInteger(info['virtual-size'])) throw new TypeError('format or size is missing')
    return {
      format: info['format'],
      virtualSizeBytes: Number(info['virtual-size']),
      allocatedBytes: Number(info['actual-size'] ?? 0),
      ...(typeof backingFile === 'string' ? {backingFile} : {}),
      ...(typeof specific['data-file'] === 'string' ? {dataFile: specific['data-file']} : {}),
      encrypted: info['encrypted'] === true,
      extents: Array.isArray(specific['extents']) ? specific['extents'].map((extent) => String(record(extent)['filename'])) : [],
    }
  } catch (error) {
    throw new VmctlError('vmctl::image::format_detection_failed', `qemu-img describes ${path} in an unknown way: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

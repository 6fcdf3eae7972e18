import {chmod} from 'node:fs/promises'
import {isAbsolute} from 'node:path'

import {type FailureCode, isFailure, messageOf, VmctlError} from '../model/errors.ts'
import type {BaseImage, ImageFormat} from '../model/vm.ts'
import {remove, rename} from './durable.ts'
import {ioError, temporaryPath} from './files.ts'
import {describeExit, lastLines, run, type RunOptions, type RunResult, runUnderLimits} from './process.ts'
import {qemuNotInstalled} from './qemu-missing.ts'

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
const addressSpaceBytes = 2 ** 30
const infoLimits = {cpuSeconds: 10, timeoutMs: 30_000}

/**
 * Reads the header of an image with `qemu-img info` under limits of memory, CPU and time. The format is given, never guessed
 * from the content, wherever it is known.
 * @throws VmctlError `vmctl::image::format_detection_failed`, `vmctl::qemu::not_installed`
 */
export const imageInfo = async (path: string, options: QemuImgOptions & {readonly format?: ImageFormat} = {}): Promise<QemuImgInfo> => {
  // -U: the overlay of a running VM is locked by its QEMU, and looking at a header does not disturb it.
  const args = ['info', '--output=json', '-U', ...(options.format ? ['-f', options.format] : []), fileName(path)]
  const result = await runLimited(args, infoLimits, {signal: options.signal})
  if (result.exitCode !== 0) {
    throw new VmctlError('vmctl::image::format_detection_failed', `qemu-img cannot read ${path}: ${explain(result)}`)
  }
  return parseInfo(path, result.stdout)
}

/** What a program may use up. */
export interface ConversionLimits {
  /** The process is ended above it; its time on the clock may be ten times as long. */
  readonly cpuSeconds: number
  /** Length of what it writes. */
  readonly fileBytes: number
}

export interface OverlayOptions extends QemuImgOptions {
  /** Size of the new disk; that of the base when absent. */
  readonly sizeBytes?: number
  /** What will open the overlay; when it and qemu-img are new enough, a scattered write takes 4 KiB of it instead of 64. */
  readonly program?: string
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
  const isNew = options.program !== undefined && (await knowSubclusters([options.program, 'qemu-img'], options))
  const layout = isNew ? ['-o', 'extended_l2=on,cluster_size=128k'] : []
  await produce(path, 'vmctl::image::overlay_creation_failed', (temporary) =>
    // The size is always given: without it a base whose length is not a multiple of 512 would be rounded down.
    qemuImg(
      ['create', '-q', '-f', 'qcow2', ...layout, '-F', base.format, '-b', fileName(base.path), temporary, `${sectors(sizeBytes)}`],
      options,
    ),
  )
}

/** Clusters of which parts of a 32nd can be written came with QEMU 5.2. */
const knowSubclusters = async (programs: readonly string[], {signal}: QemuImgOptions): Promise<boolean> => {
  const outputs = await Promise.all(programs.map(async (program) => run(program, ['--version'], {signal, notInstalled})))
  return outputs.every(({stdout}) => {
    const [, major = '0', minor = '0'] = /version (\d+)\.(\d+)/.exec(stdout) ?? []
    return Number(major) > 5 || (Number(major) === 5 && Number(minor) >= 2)
  })
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
 * Makes an overlay that nothing uses show what it shows on another base, or on none: what it has read from layers in between becomes
 * its own. Interrupted, it shows the same as before.
 * @throws VmctlError `vmctl::image::conversion_failed`, `vmctl::image::no_space`, `vmctl::qemu::not_installed`
 */
export const rebaseOverlay = async (
  base: Pick<BaseImage, 'path' | 'format'> | undefined,
  path: string,
  options: QemuImgOptions = {},
): Promise<void> => {
  const backing = base ? ['-F', base.format, '-b', fileName(base.path)] : ['-b', '']
  await translated('vmctl::image::conversion_failed', () => qemuImg(['rebase', '-q', '-f', 'qcow2', ...backing, fileName(path)], options))
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

export interface ConvertOptions extends QemuImgOptions {
  readonly limits?: ConversionLimits
  /** Gets how much of it is done, from 0 to 1. */
  readonly onProgress?: (done: number) => void
  /** Whether a qcow2 or vmdk file is to be small rather than quick to read: clusters of qcow2 by zstd, those of vmdk as streams. */
  readonly compressed?: boolean
}

/**
 * Copies an image into another format. The result appears as a whole or not at all; holes stay holes, and nothing is compressed
 * unless that is asked for.
 * @param options with `limits`, for the image of a stranger, it may have no more memory than 1 GiB, too
 * @throws VmctlError `vmctl::image::conversion_failed`, `vmctl::image::no_space`, `vmctl::qemu::not_installed`
 */
export const convertImage = async (
  source: {readonly path: string; readonly format: ImageFormat},
  destination: {readonly path: string; readonly format: ImageFormat},
  {compressed, onProgress, ...options}: ConvertOptions = {},
): Promise<void> => {
  const onStdout = (text: string): void => {
    const percent = /\((\d+\.\d+)\/100%\)\s*$/.exec(text)?.[1]
    if (percent !== undefined) onProgress?.(Number(percent) / 100)
  }
  const verbosity = onProgress ? '-p' : '-q'
  const how = (compressed && compression[destination.format]) || []
  await produce(destination.path, 'vmctl::image::conversion_failed', (temporary) =>
    qemuImg(['convert', verbosity, '-f', source.format, '-O', destination.format, ...how, fileName(source.path), temporary], {
      ...options,
      onStdout,
    }),
  )
}

const compression: Readonly<Partial<Record<ImageFormat, readonly string[]>>> = {
  qcow2: ['-c', '-o', 'compression_type=zstd'],
  vmdk: ['-o', 'subformat=streamOptimized'],
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

const notInstalled = {kind: qemuNotInstalled}

type Watched = Pick<RunOptions, 'signal' | 'onStdout'>

const qemuImg = async (args: readonly string[], {limits, ...options}: Watched & {readonly limits?: ConversionLimits}): Promise<void> => {
  const result = await (limits
    ? runLimited(args, {...limits, timeoutMs: Math.max(60_000, limits.cpuSeconds * 10_000)}, options)
    : run('qemu-img', args, {...options, notInstalled}))
  if (result.exitCode !== 0) throw new VmctlError('vmctl::host::program_failed', `qemu-img: ${explain(result)}`)
}

const runLimited = (
  args: readonly string[],
  {cpuSeconds, timeoutMs, fileBytes}: {readonly cpuSeconds: number; readonly timeoutMs: number; readonly fileBytes?: number},
  options: Watched,
): Promise<RunResult> => {
  const size = fileBytes === undefined ? [] : [`--fsize=${fileBytes}`]
  // The second number is that of SIGKILL, which would not tell why.
  return runUnderLimits([`--as=${addressSpaceBytes}`, `--cpu=${cpuSeconds}:${cpuSeconds + 1}`, ...size], ['qemu-img', ...args], {
    ...options,
    timeoutMs,
    notInstalled,
  })
}

const limitSignals: Readonly<Record<string, string>> = {
  SIGXCPU: 'took more CPU time than it may',
  SIGXFSZ: 'wrote more than it may: File too large',
}

const explain = (result: RunResult): string =>
  limitSignals[result.signal ?? ''] ?? (lastLines(result.stderr, 3).replaceAll(/^qemu-img: /gm, '') || `qemu-img ${describeExit(result)}`)

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
    const full = /No space left on device|File too large/.test(error.message)
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

import {createReadStream} from 'node:fs'
import {type FileHandle, open, stat} from 'node:fs/promises'
import {dirname} from 'node:path'
import type {Readable} from 'node:stream'
import {createGunzip} from 'node:zlib'

import {freeSpaceBytes} from '../host/disk-space.ts'
import {filter} from '../host/filter.ts'
import {createSparseWriter} from '../host/sparse-writer.ts'
import {isFailure, messageOf, systemCode, VmctlError} from '../model/errors.ts'
import type {Compression, DecompressOptions} from './compression.ts'
import {storageError, tooLarge} from './storage-error.ts'
import {unpackZstd} from './zstd-program.ts'
import {decompressZstd, type Sink} from './zstd.ts'

export interface CompressedFile {
  readonly path: string
  readonly compression: Compression
}

const readBytes = 2 ** 20
/** Nobody publishes such a disk; it is a bomb. */
const maxOutputBytes = 16 * 2 ** 40

/**
 * Decompresses a file into a new one in constant memory, leaving holes where the content is zero. Nothing is hashed on the way: the
 * file as published is what a publisher vouches for.
 * @throws VmctlError `vmctl::image::decompression_failed`; `vmctl::image::no_space` before the disk is full;
 *   `vmctl::host::not_installed` when xz or bzip2 is missing
 */
export const decompressFile = async (source: CompressedFile, destination: string, options: DecompressOptions): Promise<void> => {
  try {
    await using handle = await open(destination, 'wx', 0o600)
    const budgetBytes = await freeSpaceBytes(dirname(destination))
    const isDone = source.compression === 'zstd' && (await unpackZstd(source.path, {handle, budgetBytes, checkSize}, options))
    if (!isDone) await decompressHere(source, {handle, budgetBytes}, options)
    await handle.sync()
  } catch (error) {
    options.signal.throwIfAborted()
    throw storageError(error, 'decompress into', destination)
  }
}

const decompressHere = async (
  source: CompressedFile,
  {handle, budgetBytes}: {readonly handle: FileHandle; readonly budgetBytes: number},
  options: DecompressOptions,
): Promise<void> => {
  const {size: totalBytes} = await stat(source.path)
  const input = createReadStream(source.path, {highWaterMark: readBytes, signal: options.signal})
  const writer = createSparseWriter(handle)
  try {
    await decompressStream(input, source.compression, {
      ...options,
      async sink(chunk) {
        // zlib and pipes do not look at the signal, and a small file of zeros can be a long way to the end.
        options.signal.throwIfAborted()
        checkSize(writer.sizeBytes + chunk.length)
        await writer.write(chunk)
        if (writer.writtenBytes > budgetBytes) throw tooLarge(budgetBytes)
        options.onProgress?.({readBytes: input.bytesRead, totalBytes})
      },
    })
    await writer.finish()
  } finally {
    input.destroy()
  }
}

/** Hands the decompressed bytes to a sink as they come. */
export const decompressStream = async (
  input: Readable,
  compression: Compression,
  options: DecompressOptions & {readonly sink: Sink},
): Promise<void> => {
  if (compression === 'zstd') {
    return decompressZstd(input, options.sink, {onContentSize: checkSize})
  }
  for await (const chunk of decompressors[compression](input, options.signal)) await options.sink(chunk)
}

const decompressors: Readonly<Record<Exclude<Compression, 'zstd'>, (input: Readable, signal: AbortSignal) => AsyncIterable<Buffer>>> = {
  gzip: gunzip,
  xz: (input, signal) =>
    program(input, 'xz', {signal, package: 'xz-utils', args: ['--decompress', '--stdout', '--format=xz', '--memlimit-decompress=256MiB']}),
  bzip2: (input, signal) => program(input, 'bzip2', {signal, package: 'bzip2', args: ['--decompress', '--stdout']}),
}

/** Handles several members in a row, and refuses truncation and trailing bytes other than zero padding. */
async function* gunzip(input: Readable): AsyncGenerator<Buffer> {
  const decoder = createGunzip({chunkSize: readBytes})
  input.on('error', (error) => decoder.destroy(error))
  try {
    yield* input.pipe(decoder)
  } catch (error) {
    throw systemCode(error)?.startsWith('Z_') ? failed('gzip', messageOf(error), error) : error
  } finally {
    decoder.destroy()
  }
}

interface ProgramOptions {
  readonly signal: AbortSignal
  readonly package: string
  readonly args: readonly string[]
}

async function* program(input: Readable, name: string, options: ProgramOptions): AsyncGenerator<Buffer> {
  try {
    yield* filter(
      input,
      {program: name, args: options.args},
      {
        signal: options.signal,
        help: `Install ${name} (Debian, Ubuntu: \`sudo apt-get install ${options.package}\`), or decompress the image yourself.`,
      },
    )
  } catch (error) {
    throw isFailure(error, 'vmctl::host::program_failed') ? failed(name, error.message, error) : error
  }
}

/** @throws VmctlError `vmctl::image::decompression_failed` when it is more than any disk has */
export const checkSize = (sizeBytes: number): void => {
  if (sizeBytes > maxOutputBytes) throw failed('the image', `it would grow to more than 16 TiB`)
}

const failed = (what: string, why: string, cause?: unknown): VmctlError =>
  new VmctlError('vmctl::image::decompression_failed', `${what}: ${why}.`, {cause})

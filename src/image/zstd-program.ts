import {createReadStream} from 'node:fs'
import {type FileHandle, open, readFile} from 'node:fs/promises'

import {lastLines, runUnderLimits} from '../host/process.ts'
import {isFailure, VmctlError} from '../model/errors.ts'
import type {DecompressOptions} from './compression.ts'
import {tooLarge} from './storage-error.ts'
import {walkZstdFrames} from './zstd-frames.ts'

interface Destination {
  readonly handle: FileHandle
  /** What it may take of the disk. */
  readonly budgetBytes: number
  /** Throws to refuse a content of this length. */
  readonly checkSize: (sizeBytes: number) => void
}

const watchEveryMs = 100

/**
 * Has the zstd program unpack a file: on two threads, with holes where there are zeros, and none of it comes by this process. It takes
 * two thirds of the CPU time that Node's decoder takes.
 * @returns whether it did; not where it is not installed
 * @throws VmctlError `vmctl::image::decompression_failed`, `vmctl::image::no_space`
 */
export const unpackZstd = async (
  path: string,
  {handle, budgetBytes, checkSize}: Destination,
  {signal, onProgress}: DecompressOptions,
): Promise<boolean> => {
  await using input = await open(path, 'r')
  const {size: totalBytes} = await input.stat()
  await checkFirstFrame(path, checkSize)
  const stop = new AbortController()
  const look = async (): Promise<void> => {
    const {size, blocks} = await handle.stat()
    checkSize(size)
    if (blocks * 512 > budgetBytes) throw tooLarge(budgetBytes)
    const readBytes = onProgress && (await positionOf(input))
    if (readBytes !== undefined) onProgress?.({readBytes, totalBytes})
  }
  const watch = setInterval(() => void look().catch((error: unknown) => stop.abort(error)), watchEveryMs)
  try {
    const {exitCode, stderr} = await runUnderLimits([`--as=${2 ** 30}`], ['zstd', '--decompress', '--stdout', '--quiet', '--sparse'], {
      signal: AbortSignal.any([signal, stop.signal]),
      files: {stdin: input.fd, stdout: handle.fd},
    })
    if (exitCode === 0) return true
    if (stderr.includes('No space left')) throw tooLarge(budgetBytes)
    const said = lastLines(stderr.replaceAll(/^(?:zstd: )?\/\*stdin\*\\ ?: /gm, ''), 3)
    throw new VmctlError('vmctl::image::decompression_failed', `zstd: ${said}.`)
  } catch (error) {
    if (isFailure(error, 'vmctl::host::not_installed')) return false
    throw error
  } finally {
    clearInterval(watch)
  }
}

/** What is known before anything is unpacked: the file is refused then. */
const checkFirstFrame = async (path: string, checkSize: (sizeBytes: number) => void): Promise<void> => {
  const input = createReadStream(path)
  const seen = new Error('the first frame was seen')
  try {
    await walkZstdFrames(input, {
      begin: async ({contentBytes = 0}) => {
        checkSize(contentBytes)
        throw seen
      },
      data: async () => undefined,
      end: async () => undefined,
    })
  } catch (error) {
    if (error !== seen) throw error
  } finally {
    input.destroy()
  }
}

/** How far a process that was given the descriptor has read, where the system tells: both have one position. */
const positionOf = async ({fd}: FileHandle): Promise<number | undefined> => {
  const text = await readFile(`/proc/self/fdinfo/${fd}`, 'utf8').catch(() => '')
  const position = /^pos:\s*(\d+)/m.exec(text)?.[1]
  return position === undefined ? undefined : Number(position)
}

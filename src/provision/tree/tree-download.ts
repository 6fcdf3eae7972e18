import type {Stats} from 'node:fs'
import {lstat, mkdir, readdir} from 'node:fs/promises'
import {join} from 'node:path'
import {PassThrough} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {createGunzip} from 'node:zlib'

import {remove, rename} from '../../host/durable.ts'
import {ioError, temporaryPath} from '../../host/files.ts'
import {isVmctlError, systemCode, VmctlError} from '../../model/errors.ts'
import {extractTar} from './extract.ts'
import type {Guest} from '../provisioner.ts'
import type {TreePaths} from './tree-upload.ts'
import {runInGuest} from '../job/guest-shell.ts'
import {programText} from '../../model/guest-program.ts'
import {sendTree} from '../programs/index.ts'

export interface TreeDownloadOptions {
  readonly privileged?: boolean
  readonly onProgress?: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Copies a directory of the guest into a local one, as one compressed stream: unpacked beside the destination, and when all
 * of it is there, moved into place, each file by one rename. What the destination has besides stays.
 */
export const downloadTree = async (guest: Guest, {source, destination}: TreePaths, options: TreeDownloadOptions = {}): Promise<void> => {
  const stage = temporaryPath(destination)
  const existing = await entryAt(destination)
  if (existing && !existing.isDirectory()) throw conflict(destination, existing)
  try {
    await mkdir(stage, {mode: 0o700}).catch((error: unknown) => {
      throw ioError('make the directory', destination, error)
    })
    await receive(guest, {source, directory: join(stage, 'tree')}, options)
    await settle(join(stage, 'tree'), destination)
  } finally {
    await remove(stage)
  }
}

const receive = async (
  guest: Guest,
  {source, directory}: {readonly source: string; readonly directory: string},
  {privileged, onProgress, signal}: TreeDownloadOptions,
): Promise<void> => {
  await mkdir(directory)
  if (guest.files) {
    const {receiveFiles} = await import('./tree-files.ts')
    await receiveFiles(guest.files, {source, directory}, {onProgress, signal})
    return
  }
  const compressed = new PassThrough()
  const plain = createGunzip()
  const unzipping = pipeline(compressed, plain)
  unzipping.catch(() => undefined)
  let received = 0
  const extracting = extractTar(plain, directory, {...(onProgress && {onBytes: (bytes: number) => onProgress((received += bytes))})})
  extracting.catch((error: unknown) => compressed.destroy(error instanceof Error ? error : new Error(String(error))))
  await runInGuest(guest, programText(sendTree, {source}), {
    privileged,
    action: `copy ${source} from the guest`,
    // A program by standard input would cost a round trip.
    stdin: null,
    signal,
    onStdout: async (chunk) => {
      if (compressed.destroyed) return extracting
      if (!compressed.write(chunk)) await Promise.race([new Promise((resolve) => compressed.once('drain', resolve)), extracting])
    },
  }).catch(async (error: unknown) => {
    compressed.destroy(error instanceof Error ? error : new Error(String(error)))
    await extracting.catch(() => undefined)
    throw error
  })
  compressed.end()
  await unzipping.catch((error: unknown) => {
    if (isVmctlError(error)) throw error
  })
  await extracting
}

/** Moves a tree into place: what is new as a whole, what is there already piece by piece. */
const settle = async (staged: string, destination: string): Promise<void> => {
  const existing = await entryAt(destination)
  const isDirectory = (await lstat(staged)).isDirectory()
  if (existing && isDirectory !== existing.isDirectory()) throw conflict(destination, existing)
  if (!existing || !isDirectory) {
    await rename(staged, destination).catch((error: unknown) => {
      throw ioError('write', destination, error)
    })
    return
  }
  for (const name of await readdir(staged)) await settle(join(staged, name), join(destination, name))
}

const entryAt = (path: string): Promise<Stats | undefined> =>
  lstat(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw ioError('write', path, error)
  })

const conflict = (path: string, existing: Stats): VmctlError =>
  new VmctlError('vmctl::io', `${path} is ${existing.isDirectory() ? 'a directory' : 'not a directory'}, unlike in the guest.`, {
    help: 'Move it away, or choose another destination.',
  })

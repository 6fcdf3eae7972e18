import {stat, truncate} from 'node:fs/promises'

import {act, remove} from '../host/durable.ts'
import {readIfExists, writeFileAtomic} from '../host/files.ts'
import {readInPieces} from '../host/hash.ts'
import {systemCode} from '../model/errors.ts'
import {createDigester, type Digester} from './checksum.ts'

/** What the server said about the file when its first byte came; kept beside the partial file as `PATH.json`. */
export interface Validators {
  readonly etag?: string
  readonly lastModified?: string
  readonly totalBytes?: number
}

/** A file on its way. `digester` has seen exactly its first `offset` bytes. */
export interface Partial {
  offset: number
  digester: Digester
  validators: Validators
  /** Whether any of it comes from an earlier answer. */
  isJoined: boolean
}

export const sidecar = (path: string): string => `${path}.json`

/** The kernel's name for this boot: after another one, the end of an unflushed file may be zeros. */
const bootId = async (): Promise<string> => (await readIfExists('/proc/sys/kernel/random/boot_id'))?.trim() ?? 'unknown'

/**
 * What an earlier run left, with its bytes hashed again; an empty start when that cannot be continued.
 * @param isVerifiable whether a declared digest will tell if the left-over is bad
 */
export const loadPartial = async (
  path: string,
  options: {readonly isVerifiable: boolean; readonly signal: AbortSignal},
): Promise<Partial> => {
  const saved = parseSidecar(await readIfExists(sidecar(path)))
  const size = await sizeOf(path)
  const isTrusted = options.isVerifiable || saved?.bootId === (await bootId())
  const tooLong = saved?.totalBytes !== undefined && size > saved.totalBytes
  if (!saved || size === 0 || !isTrusted || tooLong) return startOver(path)
  const digester = createDigester()
  let offset = 0
  const take = (piece: Buffer): void => {
    digester.update(piece)
    offset += piece.length
  }
  await readInPieces(path, take, options.signal)
  return {offset, digester, validators: saved, isJoined: true}
}

/** Forgets what is there and begins at the first byte. */
export const startOver = async (path: string): Promise<Partial> => {
  await remove(sidecar(path))
  await act(`truncate ${path}`, () => truncate(path, 0)).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error
  })
  return {offset: 0, digester: createDigester(), validators: {}, isJoined: false}
}

/** Records how the rest can be asked for, before the first byte is written. */
export const saveValidators = async (path: string, validators: Validators): Promise<void> =>
  writeFileAtomic(sidecar(path), JSON.stringify({schema: 1, bootId: await bootId(), ...validators}))

/** Whether a partial file is all of a publication, which its run was killed before it could remove. */
export const isLeftOf = async (path: string, {etag, lastModified, sizeBytes}: Published): Promise<boolean> => {
  const saved = parseSidecar(await readIfExists(sidecar(path)))
  if (!saved || saved.etag !== etag || saved.lastModified !== lastModified) return false
  return saved.totalBytes === undefined || saved.totalBytes === sizeBytes
}

interface Published {
  readonly etag?: string
  readonly lastModified?: string
  readonly sizeBytes: number
}

/** Removes a partial file and what belongs to it; the sidecar last, which tells of the rest. */
export const removePartial = async (path: string): Promise<void> => {
  await remove(path)
  await remove(sidecar(path))
}

const sizeOf = async (path: string): Promise<number> => {
  try {
    return (await stat(path)).size
  } catch {
    return 0
  }
}

const parseSidecar = (text: string | undefined): (Validators & {bootId: string}) | undefined => {
  if (text === undefined) return undefined
  try {
    const {etag, lastModified, totalBytes, bootId: boot} = JSON.parse(text) as Record<string, unknown>
    return {
      ...(typeof etag === 'string' ? {etag} : {}),
      ...(typeof lastModified === 'string' ? {lastModified} : {}),
      ...(Number.isSafeInteger(totalBytes) ? {totalBytes: Number(totalBytes)} : {}),
      bootId: String(boot),
    }
  } catch {
    return undefined
  }
}

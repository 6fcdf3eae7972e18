import {open, stat} from 'node:fs/promises'

import {messageOf, systemCode} from '../../model/errors.ts'

export type FileKind = 'missing' | 'file' | 'directory' | 'other'

/** What stands at a path. A path that may not be looked at counts as missing; `reason` says why. */
export const lookAt = async (path: string): Promise<{readonly kind: FileKind; readonly reason?: string}> => {
  try {
    const found = await stat(path)
    return {kind: found.isFile() ? 'file' : found.isDirectory() ? 'directory' : 'other'}
  } catch (error) {
    const code = systemCode(error)
    return code === 'ENOENT' || code === 'ENOTDIR' ? {kind: 'missing'} : {kind: 'missing', reason: reasonOf(error)}
  }
}

/** The content, or why there is none. Never reads more than `limit` bytes, so that /dev/zero does no harm. */
export type Content = {readonly bytes: Buffer; readonly isWhole: boolean} | {readonly reason: string}

export const readAtMost = async (path: string, limit: number): Promise<Content> => {
  try {
    await using handle = await open(path, 'r')
    const chunks: Buffer[] = []
    let size = 0
    while (size <= limit) {
      const {bytesRead, buffer} = await handle.read(Buffer.alloc(Math.min(65_536, limit + 1 - size)))
      if (bytesRead === 0) return {bytes: Buffer.concat(chunks), isWhole: true}
      chunks.push(buffer.subarray(0, bytesRead))
      size += bytesRead
    }
    return {bytes: Buffer.concat(chunks).subarray(0, limit), isWhole: false}
  } catch (error) {
    return {reason: reasonOf(error)}
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
  ENOENT: 'it does not exist',
  ENOTDIR: 'it does not exist',
  EISDIR: 'it is a directory',
}

const reasonOf = (error: unknown): string => reasons[systemCode(error) ?? ''] ?? messageOf(error)

import {statfs} from 'node:fs/promises'

import {ioError} from './files.ts'

/** Bytes that this user may still write to the file system of `path`. */
export const freeSpaceBytes = async (path: string): Promise<number> => {
  try {
    const {bavail, bsize} = await statfs(path)
    return bavail * bsize
  } catch (error) {
    throw ioError('look at the free space of', path, error)
  }
}

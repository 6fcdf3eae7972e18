import {createHash} from 'node:crypto'
import {createReadStream} from 'node:fs'
import {pipeline} from 'node:stream/promises'

import {ioError} from './files.ts'

/** Lower-case hex digest of a file, read as a stream. */
export const hashFile = async (path: string, algorithm: 'sha256' | 'sha512' = 'sha256'): Promise<string> => {
  const hash = createHash(algorithm)
  try {
    await pipeline(createReadStream(path, {highWaterMark: 2 ** 20}), hash)
  } catch (error) {
    throw ioError('read', path, error)
  }
  return hash.digest('hex')
}

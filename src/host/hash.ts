import {createHash} from 'node:crypto'
import {open} from 'node:fs/promises'

import {ioError} from './files.ts'

const pieceBytes = 2 ** 18

/** Hands over a file from its beginning to its end, in pieces that all lie in the same memory. */
export const readInPieces = async (path: string, take: (piece: Buffer) => void, signal?: AbortSignal): Promise<void> => {
  await using handle = await open(path, 'r')
  const memory = Buffer.allocUnsafe(pieceBytes)
  for (;;) {
    signal?.throwIfAborted()
    const {bytesRead} = await handle.read(memory, 0, pieceBytes)
    if (bytesRead === 0) return
    take(memory.subarray(0, bytesRead))
  }
}

/** Lower-case hex digest of a file, read as a stream. */
export const hashFile = async (path: string, algorithm: 'sha256' | 'sha512' = 'sha256'): Promise<string> => {
  const hash = createHash(algorithm)
  try {
    await readInPieces(path, (piece) => hash.update(piece))
  } catch (error) {
    throw ioError('read', path, error)
  }
  return hash.digest('hex')
}

import type {FileHandle} from 'node:fs/promises'

import type {SFTPWrapper} from 'ssh2'

import {VmctlError} from '../../model/errors.ts'
import type {GuestFileOptions} from '../../model/guest-files.ts'
import {ask} from './ask.ts'

/** What OpenSSH takes in one message; ssh2 cuts it up for servers that take less. */
const pieceBytes = 255 * 2 ** 10

/** Questions that are on their way at once, so that the distance to the guest does not count. */
const inFlight = 16

/** The pieces of a file of the guest in their order; all but the last have the same size. */
export async function* contentOf(session: SFTPWrapper, handle: Buffer, size: number): AsyncGenerator<Buffer> {
  const pending: Promise<Buffer>[] = []
  let at = 0
  const request = (): void => {
    const piece = pieceAt(session, handle, at)
    // Whoever takes no more of them need not know.
    piece.catch(() => undefined)
    pending.push(piece)
    at += pieceBytes
  }
  // One more than its size says, for the end of it; files of /proc have none.
  while (pending.length < inFlight && at <= size) request()
  try {
    for (;;) {
      const piece = (await pending.shift()) ?? (request(), await pending.shift())
      if (piece === undefined || piece.length === 0) return
      yield piece
      if (piece.length < pieceBytes) return
      if (pending.length < inFlight) request()
    }
  } finally {
    await Promise.allSettled(pending)
  }
}

const pieceAt = async (session: SFTPWrapper, handle: Buffer, position: number): Promise<Buffer> => {
  const piece = Buffer.allocUnsafe(pieceBytes)
  let length = 0
  while (length < pieceBytes) {
    // A server may give less than it was asked for; only nothing is the end.
    const count = await ask<number>(session, (sftp, answer) =>
      sftp.read(handle, piece, length, pieceBytes - length, position + length, answer),
    )
    if (count === 0) break
    length += count
  }
  return piece.subarray(0, length)
}

/** Writes a local file of a known size into one of the guest. */
export const sendContent = async (
  session: SFTPWrapper,
  {local, handle, size, path}: {readonly local: FileHandle; readonly handle: Buffer; readonly size: number; readonly path: string},
  {onProgress, signal}: GuestFileOptions,
): Promise<void> => {
  let next = 0
  let sent = 0
  let isOver = false
  const work = async (): Promise<void> => {
    const piece = Buffer.allocUnsafe(Math.min(pieceBytes, size))
    while (!isOver && next < size) {
      signal?.throwIfAborted()
      const at = next
      next += pieceBytes
      const length = Math.min(pieceBytes, size - at)
      await readExactly(local, piece.subarray(0, length), {at, path})
      await ask(session, (sftp, answer) => sftp.write(handle, piece, 0, length, at, answer))
      onProgress?.((sent += length))
    }
  }
  // All of them have to end before the file may be closed.
  const workers = Array.from({length: Math.min(inFlight, Math.ceil(size / pieceBytes))}, () =>
    work().catch((error: unknown) => {
      isOver = true
      throw error
    }),
  )
  const failed = (await Promise.allSettled(workers)).find(({status}) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}

const readExactly = async (local: FileHandle, piece: Buffer, {at, path}: {readonly at: number; readonly path: string}): Promise<void> => {
  for (let length = 0; length < piece.length;) {
    const {bytesRead} = await local.read(piece, length, piece.length - length, at + length)
    if (bytesRead === 0) {
      throw new VmctlError('vmctl::io', `${path} changed while it was read.`, {help: 'Run it again when nothing writes there.'})
    }
    length += bytesRead
  }
}

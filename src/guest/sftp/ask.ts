import {setImmediate as nextTurn} from 'node:timers/promises'

import type {SFTPWrapper, Stats} from 'ssh2'

import {isVmctlError, messageOf, VmctlError} from '../../model/errors.ts'
import type {GuestEntry} from '../../model/guest-files.ts'
import type {GuestConnection} from '../ssh/connection.ts'

export type SftpGuest = Pick<GuestConnection, 'sftp' | 'closed'>

type Answer<T> = (error: Error | null | undefined, result: T) => void

/** One question of the protocol (draft-ietf-secsh-filexfer-02) as a promise. */
export const ask = <T = void>(session: SFTPWrapper, question: (session: SFTPWrapper, answer: Answer<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    question(session, (error, result) => {
      if (error) reject(error)
      else resolve(result)
    })
  })

/** 7: what a status means. */
const noSuchFile = 2

export const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === noSuchFile

/** Explains what fails meanwhile: by what was tried, or by a connection that is gone. */
export const during = async <T>(guest: SftpGuest, what: string, work: (session: SFTPWrapper) => Promise<T>): Promise<T> => {
  try {
    return await work((await guest.sftp()) as SFTPWrapper)
  } catch (error) {
    if (isVmctlError(error) || (error instanceof Error && error.name === 'AbortError')) throw error
    // The session may end a moment before the connection.
    await Promise.race([guest.closed, nextTurn()])
    throw new VmctlError('vmctl::guest::copy_failed', `Cannot ${what}: ${messageOf(error)}.`, {cause: error})
  }
}

export const entryOf = (attributes: Stats): GuestEntry => ({
  type: attributes.isDirectory() ? 'directory' : attributes.isFile() ? 'file' : attributes.isSymbolicLink() ? 'symlink' : 'other',
  mode: attributes.mode & 0o7777,
  size: attributes.size,
  modifiedAt: attributes.mtime,
})

import {randomBytes} from 'node:crypto'
import {basename, dirname, join} from 'node:path/posix'

import type {FileEntryWithStats, SFTPWrapper, Stats} from 'ssh2'

import {VmctlError} from '../../model/errors.ts'
import type {GuestEntry, GuestFileOptions, GuestFiles} from '../../model/guest-files.ts'
import {openForUpload} from '../transfer.ts'
import {ask, during, entryOf, isMissing, type SftpGuest} from './ask.ts'
import {contentOf, sendContent} from './content.ts'

/** The files of a guest by SFTP. */
export const sftpFiles = (guest: SftpGuest): GuestFiles => ({
  look: (path, {follow = true} = {}) => during(guest, `look at ${path}`, (session) => look(session, path, follow)),
  list: (directory) =>
    during(guest, `list ${directory}`, async (session) => {
      const entries = await ask<FileEntryWithStats[]>(session, (sftp, answer) => sftp.readdir(directory, answer))
      return entries
        .filter(({filename}) => filename !== '.' && filename !== '..')
        .map(({filename, attrs}) => ({name: filename, ...entryOf(attrs)}))
    }),
  linkTarget: (path) =>
    during(guest, `read the link ${path}`, (session) => ask<string>(session, (sftp, answer) => sftp.readlink(path, answer))),
  read: (path, take, {signal} = {}) =>
    during(guest, `read ${path}`, async (session) => {
      const handle = await ask<Buffer>(session, (sftp, answer) => sftp.open(path, 'r', answer))
      try {
        const entry = entryOf(await ask<Stats>(session, (sftp, answer) => sftp.fstat(handle, answer)))
        if (entry.type === 'directory') throw new Error('it is a directory')
        for await (const piece of contentOf(session, handle, entry.size)) {
          signal?.throwIfAborted()
          await take(piece)
        }
        return entry
      } finally {
        await close(session, handle)
      }
    }),
  create: (localPath, path, options) =>
    during(guest, `upload ${localPath} to ${path}`, (session) => create(session, {localPath, path}, options)),
  put: (localPath, path, options = {}) =>
    during(guest, `upload ${localPath} to ${path}`, async (session) => {
      if ((await look(session, path, false))?.type === 'directory') throw new Error('it is a directory')
      await makeParents(session, dirname(path))
      const temporary = join(dirname(path), `.vmctl-${randomBytes(6).toString('hex')}`)
      try {
        await create(session, {localPath, path: temporary}, options)
        await replace(session, temporary, path)
      } catch (error) {
        await ask(session, (sftp, answer) => sftp.unlink(temporary, answer)).catch(() => undefined)
        throw error
      }
    }),
  link: (target, path) =>
    during(guest, `make the link ${path}`, (session) => ask(session, (sftp, answer) => sftp.symlink(target, path, answer))),
  makeDirectory: (path, mode) => during(guest, `make the directory ${path}`, (session) => makeDirectory(session, path, mode)),
  makeParents: (path) => during(guest, `make the directory ${path}`, (session) => makeParents(session, path)),
  setMode: (path, mode) =>
    during(guest, `set the mode of ${path}`, (session) => ask(session, (sftp, answer) => sftp.chmod(path, mode, answer))),
  replace: (from, to) => during(guest, `put ${to} into place`, (session) => replace(session, from, to)),
  remove: (path) => during(guest, `remove ${path}`, (session) => remove(session, path)),
})

const look = async (session: SFTPWrapper, path: string, follow: boolean): Promise<GuestEntry | undefined> => {
  try {
    return entryOf(await ask<Stats>(session, (sftp, answer) => (follow ? sftp.stat(path, answer) : sftp.lstat(path, answer))))
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

const close = (session: SFTPWrapper, handle: Buffer): Promise<void> => ask(session, (sftp, answer) => sftp.close(handle, answer))

/** Writes a file that is not there yet, with mode and time, as durably as the server can. */
const create = async (
  session: SFTPWrapper,
  {localPath, path}: {readonly localPath: string; readonly path: string},
  {mode, ...options}: GuestFileOptions & {readonly mode?: number | undefined},
): Promise<void> => {
  const file = await openForUpload(localPath)
  const {handle: local, size, modifiedAt} = file
  try {
    const handle = await ask<Buffer>(session, (sftp, answer) => sftp.open(path, 'wx', {mode: 0o600}, answer))
    try {
      await sendContent(session, {local, handle, size, path: localPath}, options)
      await ask(session, (sftp, answer) => sftp.fchmod(handle, mode ?? file.mode, answer))
      // Some servers keep times of their own.
      await ask(session, (sftp, answer) => sftp.futimes(handle, modifiedAt, modifiedAt, answer)).catch(() => undefined)
      await unlessUnknown(() => ask(session, (sftp, answer) => sftp.ext_openssh_fsync(handle, answer)))
    } finally {
      await close(session, handle)
    }
  } finally {
    await local.close()
  }
}

/** Does what only some servers can; ssh2 throws by itself when this one cannot. */
const unlessUnknown = async (action: () => Promise<void>): Promise<boolean> => {
  try {
    await action()
    return true
  } catch (error) {
    if (error instanceof Error && error.message.includes('does not support this extended request')) return false
    throw error
  }
}

/**
 * The protocol itself has no rename over something that is there (6.5). Without OpenSSH's the old one steps aside for a moment, and comes back when the
 * new one does not get its place.
 */
const replace = async (session: SFTPWrapper, from: string, to: string): Promise<void> => {
  if (await unlessUnknown(() => ask(session, (sftp, answer) => sftp.ext_openssh_rename(from, to, answer)))) return
  const rename = (one: string, other: string): Promise<void> => ask(session, (sftp, answer) => sftp.rename(one, other, answer))
  if ((await look(session, to, false)) === undefined) return rename(from, to)
  const aside = join(dirname(to), `.vmctl-old-${randomBytes(6).toString('hex')}`)
  await rename(to, aside)
  try {
    await rename(from, to)
  } catch (error) {
    await rename(aside, to).catch((second: unknown) => {
      throw new VmctlError('vmctl::guest::copy_failed', `Cannot put ${to} into place; what was there is ${aside} now.`, {cause: second})
    })
    throw error
  }
  await remove(session, aside)
}

const makeDirectory = async (session: SFTPWrapper, path: string, mode: number): Promise<void> => {
  await ask(session, (sftp, answer) => sftp.mkdir(path, {mode}, answer))
}

const makeParents = async (session: SFTPWrapper, path: string): Promise<void> => {
  if ((await look(session, path, true)) !== undefined) return
  await makeParents(session, dirname(path))
  await makeDirectory(session, path, 0o755)
}

const remove = async (session: SFTPWrapper, path: string): Promise<void> => {
  const entry = await look(session, path, false)
  if (entry === undefined) return
  if (entry.type !== 'directory') return ask(session, (sftp, answer) => sftp.unlink(path, answer))
  const below = await ask<FileEntryWithStats[]>(session, (sftp, answer) => sftp.readdir(path, answer))
  for (const {filename} of below) {
    // Whatever the guest says: nothing but what is in the directory.
    if (basename(filename) === filename && filename !== '.' && filename !== '..') await remove(session, join(path, filename))
  }
  await ask(session, (sftp, answer) => sftp.rmdir(path, answer))
}

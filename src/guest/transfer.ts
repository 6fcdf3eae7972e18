import {constants, type FileHandle, open} from 'node:fs/promises'
import {dirname} from 'node:path'

import {remove, rename, syncDirectory} from '../host/durable.ts'
import {ioError, temporaryPath} from '../host/files.ts'
import {keepTail, type Tail} from '../host/tail.ts'
import {clean} from '../model/any-shell.ts'
import {elevate} from '../model/elevate.ts'
import {VmctlError} from '../model/errors.ts'
import type {ExecExit, ExecOptions} from '../model/exec.ts'
import type {GuestEntry, GuestFiles} from '../model/guest-files.ts'
import {programText, shellCommand} from '../model/guest-program.ts'
import {receiveFile, sendFile} from './programs/index.ts'
import type {GuestConnection} from './ssh/connection.ts'

export interface TransferOptions {
  /** Permission bits of the copy; those of the original when absent. */
  readonly mode?: number
  /** Work as root in the guest. */
  readonly privileged?: boolean
  /** Called with the number of bytes so far. */
  readonly onProgress?: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

export interface UploadOptions extends TransferOptions {
  /** `user`, `user:group` or `:group`, as chown(1) takes it; the user who works when absent. */
  readonly owner?: string
}

type Execute = Pick<GuestConnection, 'exec'>

/**
 * Copies a local file into the guest as a whole: a reader there sees the old file or the new one, never a part.
 * It goes through the shell, not SFTP: that is faster, and works as root and where there is no SFTP server.
 * A relative `remotePath` starts at the user's home; a symbolic link is replaced, not followed. Directories that are missing
 * above it are made with mode 0755, and belong to whoever works.
 * @throws VmctlError `vmctl::io` (local), `vmctl::guest::copy_failed` (guest), `vmctl::ssh::connection_lost`
 */
export const upload = async (guest: Execute, localPath: string, remotePath: string, options: UploadOptions = {}): Promise<void> => {
  const destination = shellPath(remotePath)
  const {handle, size, mode} = await openForUpload(localPath)
  try {
    let sent = 0
    const stdin =
      size === 0 ? undefined : handle.createReadStream({start: 0, end: size - 1, highWaterMark: 256 * 2 ** 10, autoClose: false})
    stdin?.on('data', (chunk) => options.onProgress?.((sent += chunk.length)))
    stdin?.pause()
    const program = programText(receiveFile, {destination, size, mode: (options.mode ?? mode).toString(8), owner: options.owner ?? ''})
    const {exit, said} = await perform(guest, program, options, stdin ? {stdin} : {})
    if (exit.code !== 0) throw failed(`upload ${localPath} to ${remotePath}`, exit, said)
  } finally {
    await handle.close()
  }
}

/**
 * Copies a file of the guest to a local path, as a whole: the local file is replaced when all has arrived.
 * @throws VmctlError as `upload`
 */
export const download = (guest: Execute, remotePath: string, localPath: string, options: TransferOptions = {}): Promise<void> =>
  receive(localPath, options, async (onStdout) => {
    const {exit, said} = await perform(guest, programText(sendFile, {source: shellPath(remotePath)}), options, {onStdout, aheadBytes})
    if (exit.code !== 0) throw failed(`download ${remotePath} to ${localPath}`, exit, said)
    return {mode: modeOf(said.text())}
  })

/** As `download`, by SFTP, and with its time. */
export const downloadBySftp = (files: GuestFiles, remotePath: string, localPath: string, options: TransferOptions = {}): Promise<void> =>
  receive(localPath, options, (take) => files.read(remotePath, take, options))

/** Writes what arrives beside the local file, which is replaced when all is there. */
const receive = async (
  localPath: string,
  options: TransferOptions,
  fetch: (take: (chunk: Buffer) => Promise<void>) => Promise<Pick<GuestEntry, 'mode'> & Partial<GuestEntry>>,
): Promise<void> => {
  const temporary = temporaryPath(localPath)
  let handle: FileHandle | undefined
  try {
    const file = await open(temporary, 'wx', 0o600).catch((error: unknown) => {
      throw ioError('write', localPath, error)
    })
    handle = file
    let received = 0
    let written = 0
    const take = async (chunk: Buffer): Promise<void> => {
      const at = received
      received += chunk.length
      await writeAt(file, chunk, at).catch((error: unknown) => {
        throw ioError('write', localPath, error)
      })
      options.onProgress?.((written += chunk.length))
    }
    const {mode, modifiedAt} = await fetch(take)
    await handle.chmod(options.mode ?? mode & 0o777)
    if (modifiedAt !== undefined) await handle.utimes(modifiedAt, modifiedAt)
    await handle.sync()
    await handle.close()
    handle = undefined
    await rename(temporary, localPath)
    await syncDirectory(dirname(localPath))
  } finally {
    await handle?.close().catch(() => undefined)
    await remove(temporary)
  }
}

/** Bytes of a download that may be on their way to the disk before the guest has to wait. */
const aheadBytes = 4 * 2 ** 20

const writeAt = async (file: FileHandle, chunk: Buffer, at: number): Promise<void> => {
  for (let done = 0; done < chunk.length;) done += (await file.write(chunk, done, chunk.length - done, at + done)).bytesWritten
}

const perform = async (
  guest: Execute,
  program: string,
  {privileged, signal}: TransferOptions,
  streams: Pick<ExecOptions, 'stdin' | 'onStdout' | 'aheadBytes'>,
): Promise<{readonly exit: ExecExit; readonly said: Tail}> => {
  const said = keepTail()
  const command = shellCommand(program)
  const exit = await guest.exec(clean(privileged ? elevate(command) : command), {
    ...streams,
    signal,
    onStderr: said.take,
  })
  return {exit, said}
}

const failed = (action: string, exit: ExecExit, said: Tail): VmctlError =>
  new VmctlError(
    'vmctl::guest::copy_failed',
    `Cannot ${action}: ${said.lines(3) || `the shell in the guest ended with ${exit.code ?? exit.signal}`}`,
  )

/** @returns the open file, its size, its mode, and when its content was changed, in seconds since 1970 */
export const openForUpload = async (path: string): Promise<{handle: FileHandle; size: number; mode: number; modifiedAt: number}> => {
  let handle: FileHandle | undefined
  try {
    // A pipe that nobody writes to would never open.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = await handle.stat()
    if (!stat.isFile()) throw new Error('it is not a file')
    return {handle, size: stat.size, mode: stat.mode & 0o777, modifiedAt: Math.floor(stat.mtimeMs / 1000)}
  } catch (error) {
    await handle?.close()
    throw ioError('read', path, error)
  }
}

/** A path that no program takes for an option. */
const shellPath = (path: string): string => (path.startsWith('/') ? path : `./${path}`)

/** `-rwxr-xr-x` as numbers; set-ID bits do not travel. */
const modeOf = (listing: string): number => {
  const letters = /^.([r-][w-][xsS-][r-][w-][xsS-][r-][w-][xtT-])/m.exec(listing)?.[1] ?? 'rw-------'
  return letters.split('').reduce((mode, letter, index) => (/[rwxst]/.test(letter) ? mode | (0o400 >> index) : mode), 0)
}

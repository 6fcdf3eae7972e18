import {randomBytes} from 'node:crypto'
import {readFileSync, type Stats} from 'node:fs'
import {type FileHandle, lstat, mkdir, open, readFile, stat} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'

import {reasonOf, systemCode, systemHelp, VmctlError} from '../model/errors.ts'
import {act, link, remove, rename, syncDirectory} from './durable.ts'

/** Turns a failed file operation into an error that names what was being done and where. */
export const ioError = (action: string, path: string, cause: unknown): VmctlError =>
  new VmctlError('vmctl::io', `Cannot ${action} ${path}: ${reasonOf(cause).replace(/\.$/, '')}.`, {cause, ...systemHelp(cause)})

/** What something is that is neither a file, a directory nor a link, in words; undefined when it is one of these. */
export const specialKind = (
  info: Pick<Stats, 'isSocket' | 'isFIFO' | 'isBlockDevice' | 'isCharacterDevice'>,
): 'a socket' | 'a pipe' | 'a device' | undefined => {
  if (info.isSocket()) return 'a socket'
  if (info.isFIFO()) return 'a pipe'
  return info.isBlockDevice() || info.isCharacterDevice() ? 'a device' : undefined
}

/** A name beside `path` that no other process uses: hidden, and recognisable as vmctl's own left-over. */
export const temporaryPath = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`)

/** Whether a file name is one of `temporaryPath`. Only a lock can tell whether its writer still lives. */
export const isTemporaryName = (name: string): boolean => /^\..+\.\d+\.[0-9a-f]{12}\.tmp$/.test(name)

/**
 * Makes a directory and its parents, where they do not exist; `mode` (under the umask) is for those that it makes.
 * Node's own way (`recursive`) never ends where mkdir(2) answers ENOENT in a directory that exists, as procfs does.
 * @throws VmctlError `vmctl::io`
 */
export const makeDirectory = async (path: string, mode = 0o777): Promise<void> => {
  try {
    await makeWithParents(path, mode)
  } catch (error) {
    throw ioError('make the directory', path, error)
  }
}

const makeWithParents = async (path: string, mode: number): Promise<void> => {
  const parent = dirname(path)
  try {
    await mkdir(path, {mode})
    return
  } catch (error) {
    if (await isDirectory(path)) return
    if (systemCode(error) !== 'ENOENT' || parent === path) throw error
  }
  await makeWithParents(parent, mode)
  try {
    await mkdir(path, {mode})
  } catch (error) {
    // Another process may have been quicker.
    if (!(await isDirectory(path))) throw error
  }
}

const isDirectory = (path: string): Promise<boolean> =>
  stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  )

/** Makes a directory and its parents for this user only (0700 under any umask for the ones it makes). */
export const makePrivateDirectory = (path: string): Promise<void> => makeDirectory(path, 0o700)

/**
 * Replaces a file as a whole: unique temporary file, fsync, rename, fsync of the directory.
 * A reader sees the old content or the new, never a part. The mode holds under any umask.
 */
export const writeFileAtomic = async (path: string, content: string | Uint8Array, mode = 0o600): Promise<void> => {
  const temporary = temporaryPath(path)
  let handle: FileHandle | undefined
  try {
    handle = await open(temporary, 'wx', mode)
    await handle.chmod(mode)
    await handle.writeFile(content)
    const whole = handle
    await act(`write ${path}`, () => whole.sync())
    await handle.close()
    handle = undefined
    await rename(temporary, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    await handle?.close().catch(() => undefined)
    await remove(temporary).catch(() => undefined)
    throw ioError('write', path, error)
  }
}

/**
 * Gives a finished file its name, durably.
 * @param options.replace whether a file of that name goes; otherwise one that has appeared meanwhile is an error
 * @throws VmctlError `vmctl::io`
 */
export const placeFile = async (temporary: string, path: string, {replace}: {readonly replace: boolean}): Promise<void> => {
  try {
    await using handle = await open(temporary, 'r')
    await act(`sync ${path}`, () => handle.sync())
    await (replace ? rename(temporary, path) : renameToNew(temporary, path))
    await syncDirectory(dirname(path))
  } catch (error) {
    throw ioError('write', path, error)
  }
}

/** rename(2) replaces what is there, link(2) does not; not every file system has links. */
const renameToNew = async (temporary: string, path: string): Promise<void> => {
  try {
    await link(temporary, path)
    await remove(temporary)
  } catch (error) {
    if (systemCode(error) === 'EEXIST' || (await pathExists(path))) throw error
    await rename(temporary, path)
  }
}

/** Whether there is anything of that name: also a link that leads nowhere. */
export const pathExists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  )

/** The content of a text file, or undefined when it does not exist. */
export const readIfExists = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw ioError('read', path, error)
  }
}

/**
 * The same of a small file that vmctl has written itself, read at once: for a thread to open, ask, read and close each of hundreds
 * takes several times as long as doing so here.
 */
export const readOwnIfExists = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw ioError('read', path, error)
  }
}

/** The last bytes of a file that may be long, as text; empty when there is none. */
export const readEnd = async (path: string, bytes: number): Promise<string> => {
  const handle = await open(path, 'r').catch(() => undefined)
  if (!handle) return ''
  try {
    const {size} = await handle.stat()
    const buffer = Buffer.alloc(Math.min(size, bytes))
    const {bytesRead} = await handle.read(buffer, 0, buffer.length, size - buffer.length)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await handle.close()
  }
}

const pieceBytes = 64 * 1024

/** Up to 64 KiB of a file from an offset on, and the offset after them; nothing when the file is missing or shorter. */
export const readPiece = async (path: string, from: number): Promise<{readonly text: string; readonly end: number}> => {
  const handle = await open(path, 'r').catch(() => undefined)
  if (!handle) return {text: '', end: from}
  try {
    const {bytesRead, buffer} = await handle.read(Buffer.alloc(pieceBytes), 0, pieceBytes, from)
    return {text: buffer.toString('utf8', 0, bytesRead), end: from + bytesRead}
  } finally {
    await handle.close()
  }
}

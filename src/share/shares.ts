import {createHash} from 'node:crypto'
import {chmod, copyFile, link, lstat, readdir, realpath, rm, stat} from 'node:fs/promises'
import {join} from 'node:path'

import {remove, rename} from '../host/durable.ts'
import {ioError, makePrivateDirectory, temporaryPath} from '../host/files.ts'
import {isVmctlError, systemCode, VmctlError} from '../model/errors.ts'
import {vmFiles} from '../model/layout.ts'
import type {Share} from '../model/storage.ts'
import type {SharedFolder} from '../model/vm.ts'

/** The tag by which the guest knows a share: 9p has room for 31 bytes, virtio-fs for 36. The same for as long as the target is. */
export const shareTag = ({tag, target}: Pick<Share, 'tag' | 'target'>): string =>
  tag ?? `share-${createHash('sha256').update(target).digest('hex').slice(0, 16)}`

/** What a file that is shared by itself is called in the directory that stands for it. */
export const sharedFileName = 'file'

/**
 * What a VM's shares are to a backend: directories. A file is shared through a directory of its own in the VM's, never through the
 * directory that it lies in, which would show its neighbours to the guest.
 *
 * Idempotent, and to be repeated before each start: a file that an editor has replaced is put in place anew.
 * @param directory the VM's
 * @throws VmctlError `vmctl::share::source_unusable`
 */
export const attachShares = async (directory: string, shares: readonly Share[]): Promise<SharedFolder[]> => {
  await Promise.all(shares.map(requireSource))
  const folders: SharedFolder[] = []
  for (const share of shares) {
    const tag = shareTag(share)
    folders.push({
      path: share.isFile ? await shareFile(join(vmFiles(directory).shares, tag), share) : share.source,
      tag,
      readOnly: share.readOnly,
      driver: driverOf(share),
    })
  }
  await forgetOthers(vmFiles(directory).shares, new Set(folders.map(({tag}) => tag)))
  return folders
}

/** Removes what stands for files that are not shared any more. */
const forgetOthers = async (directory: string, tags: ReadonlySet<string>): Promise<void> => {
  const there = await readdir(directory).catch(() => [])
  for (const name of there) if (!tags.has(name)) await remove(join(directory, name))
}

/** Options that mean something to one driver only decide for it, and those are all of 9p. */
const driverOf = ({driver, options}: Share): SharedFolder['driver'] =>
  driver === 'auto' &&
  options.some((option) => /^(?:trans|version|msize|cache|access|uname|aname|dfltuid|dfltgid|debug|posixacl|noxattr)\b/.test(option))
    ? '9p'
    : driver

const requireSource = async ({source, target, isFile}: Share): Promise<void> => {
  const info = await stat(source).catch((error: unknown) => {
    throw new VmctlError('vmctl::share::source_unusable', `The share for ${target} cannot be made: ${source} ${why(error)}.`, {
      cause: error,
    })
  })
  if (isFile ? info.isFile() : info.isDirectory()) return
  throw new VmctlError(
    'vmctl::share::source_unusable',
    `The share for ${target} cannot be made: ${source} is not a ${isFile ? 'regular file' : 'directory'} any more.`,
  )
}

const why = (error: unknown): string => {
  if (systemCode(error) === 'ENOENT') return 'does not exist'
  return systemCode(error) === 'EACCES' ? 'may not be read' : `cannot be looked at (${systemCode(error) ?? String(error)})`
}

/**
 * Puts a file into a directory of its own, by a second name for the same file. Where that is impossible (another file system, a
 * file of another user), a read-only share gets a copy; a copy of a writable one would lose what the guest writes.
 */
const shareFile = async (directory: string, {source, target, readOnly}: Share): Promise<string> => {
  await makePrivateDirectory(directory)
  const place = join(directory, sharedFileName)
  if (await isSameFile(source, place)) return directory
  const temporary = temporaryPath(place)
  try {
    // link(2) gives a symbolic link a second name, not what it leads to.
    await link(await realpath(source), temporary).catch(async (error: unknown) => {
      if (!['EXDEV', 'EPERM', 'EACCES', 'EMLINK', 'ENOTSUP'].includes(systemCode(error) ?? '')) throw error
      if (readOnly) return copyPrivately(source, temporary)
      throw new VmctlError(
        'vmctl::share::source_unusable',
        `The file ${source} cannot be shared for writing: it is on another file system than the state directory, or belongs to another user.`,
        {cause: error, help: `Share it with read-only=#true, or share its directory and use the file there instead of ${target}.`},
      )
    })
    await rename(temporary, place)
    return directory
  } catch (error) {
    if (isVmctlError(error)) throw error
    throw ioError('share', source, error)
  } finally {
    await rm(temporary, {force: true})
  }
}

/** Whether the place is a name of the source. A copy never is, so it is made anew each time. */
const isSameFile = async (source: string, place: string): Promise<boolean> => {
  const [wanted, there] = await Promise.all([stat(source), lstat(place).catch(() => undefined)])
  return there !== undefined && there.dev === wanted.dev && there.ino === wanted.ino
}

const copyPrivately = async (source: string, target: string): Promise<void> => {
  const {mode} = await stat(source)
  await copyFile(source, target)
  await chmod(target, mode & 0o777)
}

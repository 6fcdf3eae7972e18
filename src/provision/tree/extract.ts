import {constants, copyFile, type FileHandle, mkdir, open, symlink} from 'node:fs/promises'
import {dirname, join} from 'node:path'
import type {Readable} from 'node:stream'

import {isVmctlError, messageOf, VmctlError} from '../../model/errors.ts'
import {unsafePath} from '../../model/safe-path.ts'
import {readTar, TarError, type TarMember} from '../../host/tar-reader.ts'

export interface ExtractOptions {
  /** Called with the bytes of each piece of a file. */
  readonly onBytes?: (bytes: number) => void
  /** Entries and bytes after which an archive is refused; there is no end to what a guest can send. */
  readonly maxEntries?: number
  readonly maxBytes?: number
}

/**
 * Unpacks a tar stream that a guest has sent into a directory that is new and empty: the only way in which anything of a
 * guest's choice gets a name on the host.
 *
 * Whatever could lead out of the directory is refused, not repaired: absolute and upward names, devices, pipes, hard links
 * to anything but an earlier file of the archive, names that come twice, and entries below something that is not a directory of this archive. A symbolic link is made as a
 * link and never followed; nothing is ever written through one, because nothing can be below it.
 * @throws VmctlError `vmctl::guest::archive_refused`
 */
export const extractTar = async (stream: Readable, directory: string, options: ExtractOptions = {}): Promise<void> => {
  const unpack = unpacker(directory, options)
  try {
    for await (const member of readTar(stream)) await unpack.entry(member)
  } catch (error) {
    stream.destroy()
    if (error instanceof TarError) throw refused(error.message)
    throw isVmctlError(error) ? error : refused(`it is damaged (${messageOf(error)})`)
  }
  await unpack.finish()
}

const unpacker = (
  directory: string,
  {onBytes, maxEntries = 2_000_000, maxBytes = Infinity}: ExtractOptions,
): {entry(member: TarMember): Promise<void>; finish(): Promise<void>} => {
  const kinds = new Map<string, string>([['', 'directory']])
  const directories: {path: string; mode: number}[] = []
  let total = 0

  const claim = (given: string, type: string): string => {
    const name = nameOf(given)
    const reason = unsafePath(name)
    if (reason !== undefined) throw refused(`it has the name ${JSON.stringify(given)}: ${reason}`)
    const parent = name.includes('/') ? dirname(name) : ''
    if (kinds.get(parent) !== 'directory') throw refused(`${JSON.stringify(given)} is not in a directory of it`)
    if (kinds.has(name)) throw refused(`it has ${JSON.stringify(given)} twice`)
    if (kinds.size > maxEntries) throw refused(`it has more than ${maxEntries} entries`)
    kinds.set(name, type)
    return join(directory, name)
  }
  const write = async (path: string, content: AsyncIterable<Buffer>): Promise<void> => {
    // `wx`: also a file system without case, or that composes letters, has each name once.
    const handle: FileHandle = await open(path, 'wx', 0o600)
    try {
      for await (const chunk of content) {
        total += chunk.length
        if (total > maxBytes) throw refused(`it is larger than ${maxBytes} bytes`)
        await handle.writeFile(chunk)
        onBytes?.(chunk.length)
      }
    } finally {
      await handle.close()
    }
  }

  return {
    async entry({name, type, mode, target, content}) {
      if (type === 'directory' && /^\.?\/?$/.test(name)) return
      if (type === 'file') {
        const path = claim(name, 'file')
        await write(path, content)
        await setMode(path, mode)
      } else if (type === 'directory') {
        const path = claim(name, 'directory')
        await mkdir(path, {mode: 0o700})
        directories.push({path, mode})
      } else if (type === 'symlink') {
        if (target === '') throw refused(`the link ${JSON.stringify(name)} leads nowhere`)
        await symlink(target, claim(name, 'symlink'))
      } else {
        // tar writes the second name of a file as a link to the first; here it becomes a file of its own.
        const first = nameOf(target)
        if (kinds.get(first) !== 'file') throw refused(`${JSON.stringify(name)} is a hard link to something that is no file of it`)
        const path = claim(name, 'file')
        await copyFile(join(directory, first), path, constants.COPYFILE_EXCL)
        await setMode(path, mode)
      }
    },
    async finish() {
      for (const {path, mode} of directories.toReversed()) await setMode(path, mode)
    },
  }
}

/** Without the `./` and the `/` that tar writes around a name. */
const nameOf = (given: string): string => given.replace(/^(?:\.\/)+/, '').replace(/\/$/, '')

/** Neither set-ID nor sticky bits come from a guest. */
const setMode = async (path: string, mode: number): Promise<void> => {
  const handle = await open(path, 'r')
  try {
    await handle.chmod(mode & 0o777)
  } finally {
    await handle.close()
  }
}

const refused = (why: string): VmctlError => new VmctlError('vmctl::guest::archive_refused', `What the guest sent was refused: ${why}.`)

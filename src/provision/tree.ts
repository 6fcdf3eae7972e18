import {hash} from 'node:crypto'
import {type Dirent, lstatSync, readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {join} from 'node:path'
import {setImmediate as nextTurn} from 'node:timers/promises'

import {ioError} from '../host/files.ts'
import {hashFile} from '../host/hash.ts'
import {isVmctlError, VmctlError} from '../model/errors.ts'
import {unsafePath} from '../model/safe-path.ts'
import type {Ignore} from './ignore.ts'

/** One entry below a local directory. */
export interface TreeEntry {
  /** Relative, with slashes. */
  readonly name: string
  readonly type: 'file' | 'directory' | 'symlink'
  /** Permission bits. */
  readonly mode: number
  readonly size: number
  readonly target?: string
}

/** A tree entry with the sha256 of its content, when it is a file. */
export interface HashedEntry extends TreeEntry {
  readonly sha256?: string
}

const nothingIgnored: Ignore = () => false

/*
 * Small files are looked at and read synchronously: each of the four system calls costs ten times as much through the
 * thread pool. Everything else gets its turn after each `politeness` of them.
 */
const politeness = 64

/** Everything below a directory that is not ignored, sorted by name. Sockets, pipes and devices are an error, since they cannot be carried over. */
export const listTree = async (directory: string, ignore: Ignore = nothingIgnored): Promise<TreeEntry[]> => {
  const entries: TreeEntry[] = []
  for (const name of namesBelow(directory, '', ignore).toSorted()) {
    if (entries.length % politeness === 0) await nextTurn()
    entries.push(reading(join(directory, name), (path) => entryOf(path, name)))
  }
  return entries
}

const entryOf = (path: string, name: string): TreeEntry => {
  const reason = unsafePath(name)
  if (reason !== undefined) throw new VmctlError('vmctl::provision::failed', `${JSON.stringify(path)} cannot be uploaded: ${reason}.`)
  const info = lstatSync(path)
  const mode = info.mode & 0o7777
  if (info.isDirectory()) return {name, type: 'directory', mode, size: 0}
  if (info.isSymbolicLink()) return {name, type: 'symlink', mode, size: 0, target: readlinkSync(path)}
  if (info.isFile()) return {name, type: 'file', mode, size: info.size}
  throw new VmctlError('vmctl::provision::failed', `${path} is neither a file, a directory nor a symbolic link and cannot be uploaded.`)
}

/** Node's own recursive `readdir` would walk into what is ignored. */
const namesBelow = (directory: string, prefix: string, ignore: Ignore): string[] =>
  reading(join(directory, prefix), (path): Dirent[] => readdirSync(path, {withFileTypes: true})).flatMap((entry) => {
    const name = `${prefix}${entry.name}`
    if (ignore(name, entry.isDirectory())) return []
    return entry.isDirectory() ? [name, ...namesBelow(directory, `${name}/`, ignore)] : [name]
  })

const reading = <T>(path: string, read: (path: string) => T): T => {
  try {
    return read(path)
  } catch (error) {
    throw isVmctlError(error) ? error : ioError('read', path, error)
  }
}

/** Files up to this size are read as a whole. */
const smallFile = 256 * 2 ** 10

/** The content of a small file; undefined when it is for a stream. A turn is given to others now and then. */
export const readSmallFile = async (path: string, size: number): Promise<Buffer | undefined> => {
  if (size > smallFile) return undefined
  if (turns++ % politeness === 0) await nextTurn()
  return reading(path, (name) => readFileSync(name))
}
let turns = 0

/** The entries with their hashes. */
export const hashTree = async (directory: string, entries: readonly TreeEntry[]): Promise<HashedEntry[]> => {
  const hashed: HashedEntry[] = []
  for (const entry of entries) {
    const path = join(directory, entry.name)
    const small = entry.type === 'file' ? await readSmallFile(path, entry.size) : undefined
    if (entry.type !== 'file') hashed.push(entry)
    else hashed.push({...entry, sha256: small ? hash('sha256', small) : await hashFile(path)})
  }
  return hashed
}

/** What a tree is, line by line, for a hash of it: names, types, modes, targets and contents. */
export const describeTree = async (directory: string, ignore?: Ignore): Promise<string[]> =>
  (await hashTree(directory, await listTree(directory, ignore))).map(describeEntry)

export const describeEntry = ({name, type, mode, target, sha256}: HashedEntry): string => JSON.stringify([name, type, mode, target, sha256])

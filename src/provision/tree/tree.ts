import {hash} from 'node:crypto'
import {closeSync, type Dirent, lstatSync, openSync, readdirSync, readlinkSync, readSync} from 'node:fs'
import {join} from 'node:path'
import {setImmediate as nextTurn} from 'node:timers/promises'

import {ioError, specialKind} from '../../host/files.ts'
import {hashFile} from '../../host/hash.ts'
import {isVmctlError, VmctlError} from '../../model/errors.ts'
import {unsafePath} from '../../model/safe-path.ts'
import {stripControls} from '../../model/strip.ts'
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

/**
 * Everything below a directory that is not ignored, sorted by name. Sockets, pipes and devices are left out, since they mean
 * nothing elsewhere; each is told to `onSpecial`, in words.
 */
export const listTree = async (
  directory: string,
  ignore: Ignore = nothingIgnored,
  onSpecial: (words: string) => void = () => undefined,
): Promise<TreeEntry[]> => {
  const entries: TreeEntry[] = []
  for (const name of namesBelow(directory, '', ignore).toSorted()) {
    if (entries.length % politeness === 0) await nextTurn()
    const entry = reading(join(directory, name), (path) => entryOf(path, name))
    if (typeof entry === 'string') onSpecial(`${stripControls(name)} is ${entry}`)
    else entries.push(entry)
  }
  return entries
}

const entryOf = (path: string, name: string): TreeEntry | string => {
  const reason = unsafePath(name)
  if (reason !== undefined) throw new VmctlError('vmctl::provision::failed', `${JSON.stringify(path)} cannot be uploaded: ${reason}.`)
  const info = lstatSync(path)
  const mode = info.mode & 0o7777
  if (info.isDirectory()) return {name, type: 'directory', mode, size: 0}
  if (info.isSymbolicLink()) return {name, type: 'symlink', mode, size: 0, target: readlinkSync(path)}
  return specialKind(info) ?? {name, type: 'file', mode, size: info.size}
}

/** Node's own recursive `readdir` would walk into what is ignored. */
const namesBelow = (directory: string, prefix: string, ignore: Ignore): string[] =>
  reading(join(directory, prefix), (path): Dirent[] => readdirSync(path, {withFileTypes: true})).flatMap((entry) => {
    const name = `${prefix}${entry.name}`
    const isIgnored = ignore(name, entry.isDirectory())
    if (isIgnored && !(entry.isDirectory() && ignore.reopens?.(name))) return []
    const names = entry.isDirectory() ? namesBelow(directory, `${name}/`, ignore) : []
    // A directory that is left out comes along for what is in it and is not.
    return isIgnored && names.length === 0 ? [] : [name, ...names]
  })

const reading = <T>(path: string, read: (path: string) => T): T => {
  try {
    return read(path)
  } catch (error) {
    throw isVmctlError(error) ? error : ioError('read', path, error)
  }
}

/** Files up to this size, in bytes, are read as a whole. */
export const smallFileBytes = 256 * 2 ** 10

/**
 * Reads a file that is just so long into the room, which has a byte more.
 * @returns its content
 * @throws VmctlError `vmctl::io`; `vmctl::provision::failed` when the file has another length by now
 */
export const readSmallFile = (path: string, room: Buffer): Buffer =>
  reading(path, () => {
    const size = room.length - 1
    const descriptor = openSync(path, 'r')
    try {
      let length = 0
      // One read as a rule: it asks for one byte more than there should be, and gets none.
      for (let count = -1; count !== 0 && (length < size || count === -1); length += count)
        count = readSync(descriptor, room, length, room.length - length, null)
      if (length !== size) throw changedMeanwhile(path)
      return room.subarray(0, size)
    } finally {
      closeSync(descriptor)
    }
  })

export const changedMeanwhile = (path: string): VmctlError =>
  new VmctlError('vmctl::provision::failed', `${path} changed while it was read.`, {help: 'Run it again when nothing writes there.'})

/** The entries with the hashes of those files that are wanted. */
export const hashTree = async (
  directory: string,
  entries: readonly HashedEntry[],
  isWanted: (file: HashedEntry) => boolean = () => true,
): Promise<HashedEntry[]> => {
  const hashed: HashedEntry[] = []
  const scratch = Buffer.allocUnsafe(smallFileBytes + 1)
  for (const entry of entries) {
    if (entry.type !== 'file' || !isWanted(entry)) {
      hashed.push(entry)
      continue
    }
    const path = join(directory, entry.name)
    if (entry.size > smallFileBytes) hashed.push({...entry, sha256: await hashFile(path)})
    else {
      if (hashed.length % politeness === 0) await nextTurn()
      hashed.push({...entry, sha256: hash('sha256', readSmallFile(path, scratch.subarray(0, entry.size + 1)))})
    }
  }
  return hashed
}

/** What a tree is, line by line, for a hash of it: names, types, modes, targets and contents. */
export const describeTree = async (directory: string, ignore?: Ignore): Promise<string[]> =>
  (await hashTree(directory, await listTree(directory, ignore))).map(describeEntry)

export const describeEntry = ({name, type, mode, target, sha256}: HashedEntry): string => JSON.stringify([name, type, mode, target, sha256])

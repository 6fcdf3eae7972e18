import type {BigIntStats} from 'node:fs'
import {lstat, readdir, statfs} from 'node:fs/promises'
import {join} from 'node:path'

import {ioError} from './files.ts'

/** Bytes that this user may still write to the file system of `path`. */
export const freeSpaceBytes = async (path: string): Promise<number> => {
  try {
    const {bavail, bsize} = await statfs(path)
    return bavail * bsize
  } catch (error) {
    throw ioError('look at the free space of', path, error)
  }
}

/** A file, directory or link, and the room that it takes. */
export interface FileRoom {
  /** From the directory that was walked. */
  readonly path: string
  /** Its length, holes included. */
  readonly sizeBytes: number
  /** What it takes on the disk: nothing for a second name of a file that came before. */
  readonly allocatedBytes: number
  /** Whether the file has a name outside of the directory too. */
  readonly isSharedOutside: boolean
}

/**
 * Everything below a directory, itself included, as `du` counts it: holes take nothing, and a file with several names counts once.
 * What goes away or cannot be entered meanwhile is left out.
 */
export const roomBelow = async (directory: string): Promise<readonly FileRoom[]> => {
  const found: {path: string; info: BigIntStats}[] = []
  const walk = async (path: string): Promise<void> => {
    const info = await lstat(join(directory, path), {bigint: true}).catch(() => undefined)
    if (!info) return
    found.push({path, info})
    if (!info.isDirectory()) return
    for (const name of await readdir(join(directory, path)).catch(() => [])) await walk(join(path, name))
  }
  await walk('')
  const inodeOf = (info: BigIntStats): string => `${info.dev}:${info.ino}`
  const names = Map.groupBy(found, ({info}) => inodeOf(info))
  const seen = new Set<string>()
  return found.map(({path, info}) => {
    const inode = inodeOf(info)
    const isFirst = !seen.has(inode)
    seen.add(inode)
    return {
      path,
      sizeBytes: Number(info.size),
      allocatedBytes: isFirst ? Number(info.blocks) * 512 : 0,
      isSharedOutside: info.isFile() && Number(info.nlink) > (names.get(inode)?.length ?? 0),
    }
  })
}

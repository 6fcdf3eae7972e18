import {readdir, rm, stat} from 'node:fs/promises'
import {join} from 'node:path'

import {acquireLock} from '../host/lock.ts'
import {isVmctlError} from '../model/errors.ts'
import {imageFiles, type ImageStore} from './image-store.ts'

const day = 24 * 60 * 60 * 1000
/** How long a cut download is worth keeping; what else a killed process leaves cannot be resumed and goes after a day. */
const keepMs = {partial: 14 * day, other: day}

/** Removes what killed processes left behind long ago, except what belongs to `ownKey` or to a process at work. Never fails. */
export const sweepPartials = async (store: ImageStore, ownKey: string): Promise<void> => {
  const directory = imageFiles.partials(store)
  const names = await readdir(directory).catch(() => [])
  const keys = new Set(names.map((name) => /^\.?([0-9a-f]{64})/.exec(name)?.[1] ?? '').filter((key) => key !== '' && key !== ownKey))
  for (const key of keys) {
    const mine = names.filter((name) => name.includes(key))
    const stale = await staleOf(directory, mine)
    if (stale.length > 0) await removeUnlessLocked(store, key, stale)
  }
  const refs = imageFiles.refs(store)
  // Left-overs of atomic writes: a live one exists for milliseconds.
  const temporary = (await readdir(refs).catch(() => [])).filter((name) => name.startsWith('.') && name.endsWith('.tmp'))
  for (const path of await staleOf(refs, temporary)) await rm(path, {force: true}).catch(() => undefined)
}

const staleOf = async (directory: string, names: readonly string[]): Promise<string[]> => {
  const stale: string[] = []
  for (const name of names) {
    const path = join(directory, name)
    const limitMs = /^[0-9a-f]{64}(?:\.json)?$/.test(name) ? keepMs.partial : keepMs.other
    const found = await stat(path).catch(() => undefined)
    if (found && Date.now() - found.mtimeMs > limitMs) stale.push(path)
  }
  return stale
}

const removeUnlessLocked = async (store: ImageStore, key: string, paths: readonly string[]): Promise<void> => {
  try {
    await using _lock = await acquireLock(imageFiles.fetchLock(store, key), {purpose: 'cleaning up', timeoutMs: 0})
    for (const path of paths) await rm(path, {force: true})
  } catch (error) {
    // Someone is at work on it, or it is not ours to remove; there is no harm in leaving it.
    if (!isVmctlError(error)) return
  }
}

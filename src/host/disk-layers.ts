import {chmod, constants, copyFile, readdir, stat} from 'node:fs/promises'
import {basename, dirname} from 'node:path'

import {isFailure, VmctlError} from '../model/errors.ts'
import type {BaseImage} from '../model/vm.ts'
import {link, remove, rename, syncDirectory, syncFile} from './durable.ts'
import {ioError, pathExists, temporaryPath} from './files.ts'
import {
  createOverlay,
  imageInfo,
  mergeOverlay,
  type OverlayOptions,
  type QemuImgOptions,
  rebaseOverlay,
  repointOverlay,
} from './qemu-img.ts'

/**
 * A disk that can be put back: a qcow2 file that takes the writes, and below it, in the same directory, layers that nothing writes
 * to any more, `DISK@ID.qcow2`. The file on top keeps its name, so that nobody has to know of layers to use the disk.
 *
 * While a layer is made there is `DISK@next.qcow2` beside the top, which is the top of tomorrow: empty, and on the layer, which is
 * another name of the top of today. Both show the same, so that whoever finds it with nothing running may finish the change.
 */
const extension = '.qcow2'

const beside = (disk: string, word: string): string => `${disk.slice(0, -extension.length)}@${word}${extension}`

export const layerPath = (disk: string, id: string): string => beside(disk, id)

/** The top of a disk to which the change is under way. */
export const nextPath = (disk: string): string => beside(disk, 'next')

/** Ids of the layers that a disk has. */
export const layersOf = async (disk: string): Promise<string[]> => {
  const names = await readdir(dirname(disk)).catch(() => [])
  const start = `${basename(disk, extension)}@`
  return names
    .filter((name) => name.startsWith(start) && /^[0-9a-f]{12}\.qcow2$/.test(name.slice(start.length)))
    .map((name) => name.slice(start.length, -extension.length))
    .toSorted()
}

/**
 * Begins to make a layer of what is on top. Whoever writes to the top may go on; `finishLayer` is for when nobody does.
 * @param path where the layer is to be: beside the disk, or among those that disks share
 */
export const beginLayer = async (disk: string, path: string, options: OverlayOptions): Promise<void> => {
  const {virtualSizeBytes} = await imageInfo(disk, {...options, format: 'qcow2'})
  await link(disk, path)
  await syncDirectory(dirname(path))
  await createOverlay({path, format: 'qcow2', virtualSizeBytes}, nextPath(disk), options)
  await syncFile(nextPath(disk))
}

/** Gives the next top its name. Nothing happens when there is none. */
export const finishLayer = async (disk: string): Promise<void> => {
  if (!(await pathExists(nextPath(disk)))) return
  await rename(nextPath(disk), disk)
  await syncDirectory(dirname(disk))
}

/** The layer that the next top of a disk is on; undefined when there is none. */
export const idOfNext = async (disk: string): Promise<string | undefined> => {
  if (!(await pathExists(nextPath(disk)))) return undefined
  const {backingFile} = await imageInfo(nextPath(disk), {format: 'qcow2'})
  return backingFile === undefined ? undefined : /[@-]([0-9a-f]{12})\.qcow2$/.exec(backingFile)?.[1]
}

/** Whether a file is a layer that disks share, in a directory of its own; what disks beside it are called does not matter. */
const isSharedLayer = (path: string): boolean => /\/layers\/layer-[0-9a-f]{12}\.qcow2$/.test(path)

/** Takes back what `beginLayer` has done; for a top that never became the lower one. What is half done goes with the next `trimLayers`. */
export const undoLayer = async (disk: string, id: string): Promise<void> => {
  if ((await idOfNext(disk)) !== id) return
  await remove(nextPath(disk))
  await remove(layerPath(disk, id))
}

/**
 * Puts a disk that nothing uses back to a layer: what was written since is gone.
 * @throws VmctlError `vmctl::snapshot::damaged` when there is no such layer
 */
export const revertToLayer = async (disk: string, id: string, options: QemuImgOptions): Promise<void> => {
  const path = layerPath(disk, id)
  const {virtualSizeBytes} = await requireLayer(disk, id, options)
  await finishLayer(disk)
  await createOverlay({path, format: 'qcow2', virtualSizeBytes}, disk, options)
  await syncFile(disk)
  await syncDirectory(dirname(disk))
}

/**
 * Checks that all that a layer reads through to is there.
 * @throws VmctlError `vmctl::snapshot::damaged`
 */
export const requireLayer = async (disk: string, id: string, options: QemuImgOptions): Promise<{readonly virtualSizeBytes: number}> => {
  const bottom = layerPath(disk, id)
  for (let path: string | undefined = bottom; path !== undefined;) {
    if (!(await pathExists(path))) {
      const what = path === bottom ? 'The layer of the disk' : `What the layer ${bottom} reads through to`
      throw new VmctlError('vmctl::snapshot::damaged', `${what} is gone: ${path}.`)
    }
    path = await parentOf(path, options)
  }
  return imageInfo(bottom, {...options, format: 'qcow2'})
}

/** What a layer reads through to. The base image below the layers is not looked into. */
const parentOf = async (path: string, options: QemuImgOptions): Promise<string | undefined> =>
  isLayerName(path) ? (await imageInfo(path, {...options, format: 'qcow2'})).backingFile : undefined

const topId = ''
const nextId = 'next'

const pathOf = (disk: string, id: string): string => (id === topId ? disk : beside(disk, id))

/** Each file of a disk by its id, with the layer that it reads through to; undefined where that is no layer. */
const filesOf = async (disk: string, options: QemuImgOptions): Promise<ReadonlyMap<string, string | undefined>> => {
  const layers = await layersOf(disk)
  const ids = new Map(layers.map((id) => [layerPath(disk, id), id]))
  const parents = new Map<string, string | undefined>()
  const tops = (await pathExists(nextPath(disk))) ? [topId, nextId] : [topId]
  for (const id of [...tops, ...layers]) {
    const {backingFile} = await imageInfo(pathOf(disk, id), {...options, format: 'qcow2'})
    parents.set(id, backingFile === undefined ? undefined : ids.get(backingFile))
  }
  return parents
}

/**
 * Removes the layers that are not to be kept, as far as that is possible now: one that a single file reads through is merged with that
 * file when nothing uses the disk; one that several read through waits for these.
 * @returns ids of those that wait
 */
export const trimLayers = async (
  disk: string,
  {keep, isAtRest, ...options}: QemuImgOptions & {readonly keep: readonly string[]; readonly isAtRest: boolean},
): Promise<readonly string[]> => {
  if ((await layersOf(disk)).length === 0 || !(await pathExists(disk))) return []
  if (isAtRest) await finishLayer(disk)
  const stuck = new Set<string>()
  for (;;) {
    const parents = await filesOf(disk, options)
    const doomed = [...parents.keys()].filter((id) => id !== topId && id !== nextId && !keep.includes(id) && !stuck.has(id))
    const [id] = doomed
    if (id === undefined) return [...stuck]
    const children = [...parents].flatMap(([child, parent]) => (parent === id ? [child] : []))
    if (!(await dropLayer(disk, {id, children, isAtRest, ...options}))) stuck.add(id)
    // One that waited for its branches may be free now.
    else stuck.clear()
  }
}

const dropLayer = async (
  disk: string,
  {
    id,
    children,
    isAtRest,
    ...options
  }: QemuImgOptions & {readonly id: string; readonly children: readonly string[]; readonly isAtRest: boolean},
): Promise<boolean> => {
  const [child, ...others] = children
  if (child === undefined) {
    await remove(layerPath(disk, id))
    return true
  }
  if (others.length > 0 || !isAtRest) return false
  // The fork of a VM reads it, by another name.
  if ((await namesOf(layerPath(disk, id))) > 1 || (await namesOf(pathOf(disk, child))) > 1) return false
  try {
    await mergeOverlay(pathOf(disk, child), options)
  } catch (error) {
    if (isFailure(error, 'vmctl::snapshot::busy')) return false
    throw error
  }
  await syncFile(layerPath(disk, id))
  await rename(layerPath(disk, id), pathOf(disk, child)).catch((error: unknown) => {
    throw ioError('rename', layerPath(disk, id), error)
  })
  await syncDirectory(dirname(disk))
  return true
}

/** Makes the lowest files of a disk that nothing uses read through to their base image at another place. */
export const repointBase = async (base: Pick<BaseImage, 'path' | 'format'>, disk: string, options: QemuImgOptions): Promise<void> => {
  const parents = await filesOf(disk, options)
  for (const [id, parent] of parents) {
    if (parent !== undefined) continue
    await repointLowest(base, pathOf(disk, id), options)
  }
}

const namesOf = async (path: string): Promise<number> => (await stat(path)).nlink

/**
 * Gives another disk what a disk had when a layer was made, or has now when it is not written to and has no such layer: on the same
 * files, which must be on one file system and are not merged while it is there.
 */
export const forkLayer = async (
  {disk, id}: {readonly disk: string; readonly id: string},
  other: string,
  options: QemuImgOptions,
): Promise<void> => {
  const layer = layerPath(disk, id)
  await link((await pathExists(layer)) ? layer : disk, layerPath(other, id))
  await revertToLayer(other, id, options)
}

/**
 * The same with a file of its own, on the base image alone.
 * @param base absent for a disk that has none
 */
export const copyLayer = async (
  {disk, id}: {readonly disk: string; readonly id: string},
  other: string,
  {base, ...options}: QemuImgOptions & {readonly base?: Pick<BaseImage, 'path' | 'format'> | undefined},
): Promise<void> => {
  const layer = layerPath(disk, id)
  const temporary = temporaryPath(other)
  try {
    await copyFile((await pathExists(layer)) ? layer : disk, temporary, constants.COPYFILE_FICLONE)
    await chmod(temporary, 0o600)
    const {backingFile} = await imageInfo(temporary, {...options, format: 'qcow2'})
    if (backingFile !== base?.path) await rebaseOverlay(base, temporary, options)
    await syncFile(temporary)
    await rename(temporary, other)
  } finally {
    await remove(temporary)
  }
}

/** Below a disk there may be layers that it shares with others; the lowest of them names the image. */
const repointLowest = async (base: Pick<BaseImage, 'path' | 'format'>, path: string, options: QemuImgOptions): Promise<void> => {
  const {backingFile} = await imageInfo(path, {...options, format: 'qcow2'})
  if (backingFile === base.path) return
  if (backingFile !== undefined && isSharedLayer(backingFile)) return repointLowest(base, backingFile, options)
  // That of a fork is on layers of the VM that it was made from.
  if (!isLayerName(backingFile ?? '')) await repointOverlay(base, path, options)
}

const bytesOf = (path: string): Promise<number> =>
  stat(path).then(
    ({blocks}) => blocks * 512,
    () => 0,
  )

/** What a layer takes on the host. */
export const layerBytes = (disk: string, id: string): Promise<number> => bytesOf(layerPath(disk, id))

/** What a disk takes with all of its layers. */
export const diskBytes = async (disk: string): Promise<number> => {
  const all = await Promise.all([disk, nextPath(disk), ...(await layersOf(disk)).map((id) => layerPath(disk, id))].map(bytesOf))
  return all.reduce((sum, bytes) => sum + bytes, 0)
}

/** What was written to a disk since a layer was made; undefined when the disk has been put back to an earlier one since. */
export const bytesSince = async (disk: string, id: string, options: QemuImgOptions): Promise<number | undefined> => {
  const parents = await filesOf(disk, options)
  let bytes = 0
  for (let at: string | undefined = parents.has(nextId) ? nextId : topId; at !== undefined; at = parents.get(at)) {
    if (at === id) return bytes
    bytes += await bytesOf(pathOf(disk, at))
  }
  return undefined
}

/** Whether a file beside a disk is one of its layers, or will be its top. */
export const isLayerName = (name: string): boolean => /@(?:next|[0-9a-f]{12})\.qcow2$/.test(basename(name)) || isSharedLayer(name)

/** Removes all layers of a disk that is removed itself. */
export const removeLayers = async (disk: string): Promise<void> => {
  await remove(nextPath(disk))
  for (const id of await layersOf(disk)) await remove(layerPath(disk, id))
}

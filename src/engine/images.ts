import {resolvePath} from '../host/paths.ts'
import {readHead} from '../image/audit.ts'
import {ensureImage} from '../image/cache.ts'
import {type ImageInspection, inspectImage} from '../image/inspect.ts'
import {type CachedImage, listImages, removeImage} from '../image/manage.ts'
import {parseQcow2Header} from '../image/qcow2-header.ts'
import {isVmctlError, systemCode, VmctlError} from '../model/errors.ts'
import {vmFiles} from '../model/layout.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import {listVmNames, readVm, vmDirectory} from '../store/store.ts'
import type {Engine} from './engine.ts'

export type {CachedImage} from '../image/manage.ts'
export type {ImageInspection} from '../image/inspect.ts'

export interface PullOptions {
  /** What to call the image in the cache. */
  readonly name?: string | undefined
  readonly sha256?: string | undefined
  readonly sha512?: string | undefined
  readonly checksumUrl?: string | undefined
}

/** Downloads an image to the cache, unless it is there. */
export const pullImage = (engine: Engine, url: string, options: PullOptions = {}): Promise<BaseImage> => {
  const {name, sha256, sha512, checksumUrl} = options
  const reference: ImageReference = {
    kind: 'url',
    source: url,
    ...(sha256 !== undefined && {sha256: sha256.toLowerCase()}),
    ...(sha512 !== undefined && {sha512: sha512.toLowerCase()}),
    ...(checksumUrl !== undefined && {checksumUrl}),
  }
  return ensureImage(engine.images, reference, {signal: engine.signal, name, onEvent: (event) => void engine.emit(event)})
}

export const cachedImages = (engine: Engine): Promise<CachedImage[]> => listImages(engine.images)

/** Removes images from the cache; one that is the base of a VM stays. */
export const removeCached = async (engine: Engine, wanted: string): Promise<CachedImage[]> => {
  const users = new Map<string, string>()
  for (const name of await listVmNames(engine.store)) for (const path of await basesOf(engine, name)) users.set(path, name)
  return removeImage(engine.images, wanted, {inUse: (path) => users.get(path)})
}

/**
 * The images that a VM stands on: the one that its record names, and the one that its disk names, since either may be damaged.
 * @throws VmctlError `vmctl::vm::record_damaged` when neither tells, so that it may be any image
 */
const basesOf = async (engine: Engine, name: string): Promise<string[]> => {
  const record = await readVm(engine.store, name).catch(() => undefined)
  const {overlay} = vmFiles(vmDirectory(engine.store, name))
  const disk = await readHead(overlay).catch((error: unknown) => {
    // A VM without a disk has nothing to lose.
    if (isVmctlError(error) && systemCode(error.cause) === 'ENOENT') return undefined
    throw error
  })
  const backingFile = disk && parseQcow2Header(disk.head, disk.fileBytes)?.backingFile
  if (!record && disk && backingFile === undefined) {
    throw new VmctlError('vmctl::vm::record_damaged', `Neither the record nor the disk of the VM ${name} tells which image it stands on.`, {
      help: `No image is removed as long as it may be the one. Repair the record, or remove the VM with \`vmctl destroy ${name}\`.`,
      details: {vm: name},
    })
  }
  return [record?.base.path, backingFile].filter((path) => path !== undefined)
}

/** Facts of an image file. `path` is as the user wrote it. */
export const describeImage = (engine: Engine, path: string, directory: string): Promise<ImageInspection> =>
  inspectImage(resolvePath(path, directory), {signal: engine.signal})

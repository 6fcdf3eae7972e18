import {resolvePath} from '../host/paths.ts'
import {ensureImage} from '../image/cache.ts'
import {type ImageInspection, inspectImage} from '../image/inspect.ts'
import {type CachedImage, listImages, removeImage} from '../image/manage.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import {listVmNames, readVm} from '../store/store.ts'
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
  for (const name of await listVmNames(engine.store)) {
    // The record of a damaged VM cannot tell; its base stays out of reach of this command only as long as others use it.
    const vm = await readVm(engine.store, name).catch(() => undefined)
    if (vm) users.set(vm.base.path, name)
  }
  return removeImage(engine.images, wanted, {inUse: (path) => users.get(path)})
}

/** Facts of an image file. `path` is as the user wrote it. */
export const describeImage = (engine: Engine, path: string, directory: string): Promise<ImageInspection> =>
  inspectImage(resolvePath(path, directory), {signal: engine.signal})

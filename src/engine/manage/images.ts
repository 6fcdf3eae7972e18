import {resolvePath} from '../../host/paths.ts'
import {type ImageInspection, inspectImage} from '../../image/inspect.ts'
import {type CachedImage, listImages, removeImage, type VerifiedImage, verifyImages} from '../../image/manage.ts'
import {type ImageUse, isUseOf} from '../../image/uses.ts'
import {VmctlError, explained, severalFailed} from '../../model/errors.ts'
import {type Architecture, findCatalogueImage, type Firmware} from '../../model/catalogue.ts'
import type {BaseImage, ImageReference} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import type {Vmfile} from '../load.ts'
import {goByLock} from '../make/go-by-lock.ts'
import {fetchReference} from '../make/image.ts'
import {imageNamed} from '../make/spec.ts'
import {displaySource} from '../../model/secrets.ts'
import {imageUses, knownUses} from './image-uses.ts'

export type {CachedImage, VerifiedImage} from '../../image/manage.ts'
export type {ImageInspection} from '../../image/inspect.ts'

export interface PullOptions {
  /** What to call the image in the cache. */
  readonly name?: string | undefined
  readonly sha256?: string | undefined
  readonly sha512?: string | undefined
  readonly checksumUrl?: string | undefined
  /** Whether it is fetched although it is in the cache. */
  readonly force?: boolean | undefined
  /** What it is to boot with, where a name has an image for each. */
  readonly firmware?: Firmware | undefined
  /** Of an image with a name: the processor that it is for. */
  readonly architecture?: Architecture | undefined
}

/**
 * Makes an image usable: by URL it is fetched to the cache, unless it is there; of a name the newest build is; a file is looked at, and
 * decompressed if need be.
 * @param image a path, a URL, or a name such as `debian:12`
 */
export const pullImage = async (
  engine: Engine,
  image: string,
  {directory, name, force, firmware, architecture, ...options}: PullOptions & {readonly directory: string},
): Promise<BaseImage> => {
  const {sha256, sha512, checksumUrl} = options
  const bootsWith = firmware ?? (architecture === undefined || architecture === 'x86_64' ? 'bios' : 'uefi')
  const named = await imageNamed(image, {directory, catalogue: (await engine.catalogue()).publishers, firmware: bootsWith})
  if (named.kind === 'name' && checksumUrl !== undefined) {
    throw new VmctlError('vmctl::usage::invalid', `The list of checksums of ${image} is known; --checksum-url is for URLs.`)
  }
  const reference: ImageReference = {
    ...named,
    ...(architecture !== undefined && {architecture}),
    ...(sha256 !== undefined && {sha256: sha256.toLowerCase()}),
    ...(sha512 !== undefined && {sha512: sha512.toLowerCase()}),
    ...(checksumUrl !== undefined && {checksumUrl}),
  }
  return fetchReference(engine, reference, {name, fresh: force, refresh: !engine.images.isOffline})
}

/**
 * The same for every image that the VMs of a VMFile start from, each once; one that is locked as it is locked. A failure of one does not stop the others.
 * @param onFailure gets each failure, when there are several images
 * @throws VmctlError of the image when there is but one, else `vmctl::images::failed`
 */
export const pullAll = async (
  unlocked: Engine,
  {path, vms}: Vmfile,
  {force, onFailure}: Pick<PullOptions, 'force'> & {readonly onFailure?: (error: unknown) => void} = {},
): Promise<readonly BaseImage[]> => {
  const references = new Map(vms.map(({image}) => [JSON.stringify(image), image]))
  const engine = await goByLock(unlocked, path, [...references.values()])
  const images: BaseImage[] = []
  const errors: {name: string; error: unknown}[] = []
  for (const reference of references.values()) {
    try {
      images.push(await fetchReference(engine, reference, {fresh: force, refresh: !engine.images.isOffline}))
    } catch (thrown) {
      const error = explained(thrown)
      if (engine.signal.aborted || references.size === 1) throw error
      errors.push({name: displaySource(reference), error})
      onFailure?.(error)
    }
  }
  if (errors.length > 0) throw severalFailed(errors, {of: references.size, details: {images}, things: 'images'})
  return images
}

/**
 * Reads images of the cache in full.
 * @throws VmctlError `vmctl::image::checksum_mismatch` with all results when one is damaged
 */
export const verifyCached = async (engine: Engine, wanted: string | undefined): Promise<readonly VerifiedImage[]> => {
  const images = await verifyImages(engine.images, wanted === undefined ? undefined : await recordedName(engine, wanted))
  const bad = images.filter(({problem}) => problem !== undefined)
  if (bad.length === 0) return images
  const lines = bad.map(({name, path, problem}) => `  ${name} (${path}): ${problem}`)
  throw new VmctlError('vmctl::image::checksum_mismatch', `${bad.length} of ${images.length} images cannot be used:\n${lines.join('\n')}`, {
    help: 'Fetch it again with `vmctl image pull --force URL`: a damaged file is replaced, also under a VM that is made from it. `vmctl image rm` removes one that nothing uses.',
    details: {images},
  })
}

export const cachedImages = (engine: Engine): Promise<CachedImage[]> => listImages(engine.images)

/** A cached image with what keeps it in the cache. */
export interface UsedImage extends CachedImage {
  readonly uses: readonly ImageUse[]
}

/** The same with who uses each of them. A VM of which nobody knows the image is told, and hides nothing. */
export const usedImages = async (engine: Engine): Promise<readonly UsedImage[]> => {
  const [images, uses] = await Promise.all([listImages(engine.images), knownUses(engine)])
  return images.map((image) => ({...image, uses: uses.filter((use) => isUseOf(use, image))}))
}

/** Removes images from the cache; one that a VM or a volume uses stays. What a lock file holds alone is fetched again when it is needed. */
export const removeCached = async (engine: Engine, wanted: string): Promise<CachedImage[]> =>
  removeImage(engine.images, await recordedName(engine, wanted), {
    // A lock wants the same bytes, which whoever names the image may fetch again.
    inUse: async (_path, image) =>
      (await imageUses(engine)).find((use) => use.kind !== 'lock' && use.kind !== 'layer' && isUseOf(use, image)),
  })

/** What a name of the catalogue is called in the cache: `debian:12` for `debian:bookworm`; anything else stays as it is. */
const recordedName = async (engine: Engine, wanted: string): Promise<string> =>
  findCatalogueImage((await engine.catalogue()).publishers, wanted)?.name ?? wanted

/** Facts of an image file. `path` is as the user wrote it. */
export const describeImage = (engine: Engine, path: string, directory: string): Promise<ImageInspection> =>
  inspectImage(resolvePath(path, directory), {signal: engine.signal})

import {stat} from 'node:fs/promises'
import {basename, dirname} from 'node:path'

import {findImage} from '../../image/cache.ts'
import {type CachedImage, listImages} from '../../image/manage.ts'
import {type PushedImage, pushDisk} from '../../image/oci/push.ts'
import {holdImage} from '../../image/uses.ts'
import {readOciReference} from '../../image/url.ts'
import type {Architecture} from '../../model/catalogue.ts'
import {isFailure, VmctlError} from '../../model/errors.ts'
import {ociScheme} from '../../model/oci-reference.ts'
import type {BaseImage, ImageReference} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import {fetchReference} from '../make/image.ts'
import {imageNamed} from '../make/spec.ts'

export type {PushedImage} from '../../image/oci/push.ts'

export interface PushImageOptions {
  /** Where relative paths start. */
  readonly directory: string
  /** The processor that the disk is for. */
  readonly architecture: Architecture
}

/**
 * Brings a disk into a registry: a file, or an image of the cache.
 * @param image a path, or how the cache knows it: a name, a URL, a digest
 * @param target `oci://REGISTRY/REPOSITORY:TAG`
 * @throws VmctlError `vmctl::image::push_failed`, `vmctl::registry::denied`, `vmctl::image::not_found`
 */
export const pushImage = async (
  engine: Engine,
  image: string,
  options: PushImageOptions & {readonly target: string},
): Promise<PushedImage> => {
  const {target, architecture} = options
  const reference = targetOf(target)
  if (engine.images.isOffline) throw new VmctlError('vmctl::image::offline', 'Nothing is sent offline.')
  const {disk, name, created} = await findDisk(engine, image, options)
  const {env, signal} = engine
  await using hold = await holdImage(engine.images, disk, {
    purpose: `image push ${image}`,
    signal,
    onWait: (holder) => void engine.emit({type: 'image.waiting', source: name, holder}),
  })
  if (!hold && dirname(disk.path) === engine.images.directory) throw notThere(image)
  return await pushDisk(
    engine.images,
    {image: disk, name, created, architecture, reference},
    {env, signal, held: new Map(), allowPrivateRedirects: env.VMCTL_PRIVATE_REDIRECTS === '1', onEvent: (event) => void engine.emit(event)},
  )
}

const targetOf = (target: string) => {
  if (!target.startsWith(ociScheme))
    throw new VmctlError('vmctl::usage::invalid', 'An image is pushed to a registry.', {
      help: 'Write where as oci://registry.example.org/team/debian:12.',
    })
  const reference = readOciReference(target)
  if (reference.digest === undefined) return reference
  throw new VmctlError('vmctl::usage::invalid', 'An image is pushed to a tag, not to a digest, which follows from what it is.', {
    help: 'Write the target with a tag, as oci://registry.example.org/team/debian:12.',
  })
}

interface FoundDisk {
  readonly disk: BaseImage
  readonly name: string
  readonly created: string
}

const findDisk = async (engine: Engine, image: string, {directory, architecture}: PushImageOptions): Promise<FoundDisk> => {
  const reference = await namedImage(engine, image, {directory, architecture})
  if (reference?.kind === 'file') {
    const disk = await fetchReference(engine, reference, {})
    const {mtime} = await stat(reference.source)
    return {disk, name: basename(reference.source), created: wholeSeconds(mtime)}
  }
  const disk = reference && (await findImage(engine.images, reference))
  const cached = (await listImages(engine.images)).filter(({problem}) => problem === undefined)
  const known = disk
    ? cached.find(({path}) => path === disk.path)
    : cached
        .filter((one) => isMeant(one, image))
        .toSorted(byAge)
        .at(-1)
  if (known?.format === undefined || known.virtualSizeBytes === undefined) throw notThere(image)
  const {path, format, virtualSizeBytes, fetchedAt, name} = known
  const found: BaseImage = disk ?? {path, format, virtualSizeBytes}
  return {disk: found, name, created: wholeSeconds(new Date(fetchedAt ?? 0))}
}

const byAge = (left: CachedImage, right: CachedImage): number => (left.fetchedAt ?? '').localeCompare(right.fetchedAt ?? '')

/** Registries show it, and nobody needs more. */
const wholeSeconds = (time: Date): string => time.toISOString().replace(/\.\d+Z$/, 'Z')

/** A path, a URL or a name of the catalogue; undefined for what only the cache may know. */
const namedImage = async (
  engine: Engine,
  image: string,
  {directory, architecture}: PushImageOptions,
): Promise<ImageReference | undefined> => {
  try {
    const firmware = architecture === 'x86_64' ? 'bios' : 'uefi'
    const named = await imageNamed(image, {directory, catalogue: (await engine.catalogue()).publishers, firmware})
    return architecture === 'x86_64' || named.kind === 'file' ? named : {...named, architecture}
  } catch (error) {
    if (isFailure(error, 'vmctl::image::not_found') && !image.includes('/')) return undefined
    throw error
  }
}

const isMeant = ({name, source, sha256, publishedSha256}: CachedImage, wanted: string): boolean =>
  name === wanted ||
  source === wanted ||
  (/^[0-9a-f]{12,64}$/.test(wanted) && [sha256, publishedSha256].some((digest) => digest?.startsWith(wanted)))

const notThere = (image: string): VmctlError =>
  new VmctlError('vmctl::image::not_found', `There is no image ${JSON.stringify(image)} in the cache, and no file of that name.`, {
    help: 'Run `vmctl image list` to see what is there; `vmctl image pull` fetches what is not.',
  })

import {findImage} from '../../image/cache.ts'
import {buildOfDigests, buildOfImage, isStillListed} from '../../image/cached-build.ts'
import {sourceFor} from '../../image/image-source.ts'
import type {ResolvedImage} from '../../image/image-store.ts'
import {isPinned, trustOfUrl} from '../../image/trust.ts'
import {parseImageUrl} from '../../image/url.ts'
import {findCatalogueImage} from '../../model/catalogue.ts'
import {explained, severalFailed, VmctlError} from '../../model/errors.ts'
import {describeBuild, isSameBuild, keyOfReference, type LockedDigests, type LockedImage, lockedKey, lockedName} from '../../model/lock.ts'
import {suggest} from '../../model/names.ts'
import {displaySource} from '../../model/secrets.ts'
import type {BaseImage, ImageReference} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import type {Vmfile} from '../load.ts'
import {type ImageLock, lockPath, refuseWeaker} from '../lock.ts'
import {lockable, openLock, unlockedOf} from '../make/go-by-lock.ts'
import {fetchUnlocked} from '../make/image.ts'
import {lockedBuilds, lockedListing} from '../make/locked-builds.ts'

/** What became of one image of a lock file; part of `--json`. */
export interface LockChange {
  /** Name or URL, as in the lock file. */
  readonly image: string
  /** Of an image with a name. */
  readonly architecture?: string
  readonly firmware?: string
  readonly change: 'added' | 'updated' | 'unchanged' | 'removed'
  /** The build before, for people: its day, if that is known, and the first digits of its digest. */
  readonly from?: string
  /** The build now. */
  readonly to?: string
}

/** The `--json` shape of `vmctl image lock` and `vmctl image update`. */
export interface LockResult {
  /** Path of the lock file. */
  readonly lock: string
  readonly images: readonly LockChange[]
}

export interface UpdateOptions {
  /** Which images, by their names or URLs in the VMFile; all when empty. */
  readonly names: readonly string[]
  /** Whether a build is taken although it can be trusted less than the one before. */
  readonly allowWeaker: boolean
  /** Gets each failure, when there are several images. */
  readonly onFailure?: (error: unknown) => void
}

/**
 * Asks the publishers of the images of a VMFile for the builds that there are now, fetches these, and locks them. A failure of one
 * image leaves that as it was, and the others go on.
 * @throws VmctlError of the image when there is but one, else `vmctl::images::failed`; `vmctl::image::trust_fell`
 */
export const updateLock = async (engine: Engine, vmfile: Vmfile, options: UpdateOptions): Promise<LockResult> => {
  const lock = await requireLockable(engine, vmfile)
  const all = lockable(vmfile.vms.map(({image}) => image))
  const references = options.names.length === 0 ? all : await named(engine, all, options.names)
  const changes: LockChange[] = []
  const errors: {name: string; error: unknown}[] = []
  for (const reference of references) {
    try {
      changes.push(...(await replace(lock, await newest(engine, {lock, reference}, options))))
    } catch (thrown) {
      const error = explained(thrown)
      if (engine.signal.aborted || references.length === 1) throw error
      errors.push({name: displaySource(reference), error})
      options.onFailure?.(error)
    }
  }
  if (options.names.length === 0) changes.push(...(await dropUnused(lock, all)))
  if (errors.length > 0) throw severalFailed(errors, {of: references.length, details: {lock: lock.path, images: changes}, things: 'images'})
  return {lock: lock.path, images: changes}
}

/**
 * Locks what of the images of a VMFile is not locked, without fetching a disk where its digest can be known without; and drops what the
 * VMFile does not use any more. What is locked stays.
 */
export const writeLock = async (engine: Engine, vmfile: Vmfile): Promise<LockResult> => {
  const lock = await requireLockable(engine, vmfile)
  const all = lockable(vmfile.vms.map(({image}) => image))
  const changes: LockChange[] = []
  for (const reference of all) {
    const there = lock.find(reference)
    changes.push(...(await replace(lock, there ? [await completed(engine, there)] : await current(engine, lock, reference))))
  }
  changes.push(...(await dropUnused(lock, all)))
  return {lock: lock.path, images: changes}
}

/**
 * Compares a lock file with its VMFile, without asking anybody.
 * @throws VmctlError `vmctl::image::not_locked` when an image is missing, has another digest, or is not used any more
 */
export const checkLock = async (engine: Engine, vmfile: Vmfile): Promise<LockResult> => {
  const lock = await requireLockable(engine, vmfile)
  const references = vmfile.vms.map(({image}) => image)
  const all = lockable(references)
  const problems = unlockedOf(lock, references).map(({problem}) => problem)
  const unused = unusedOf(lock.images(), all).map(({image}) => `${image} is in it, and the VMFile does not use it`)
  const wrong = [...new Set([...problems, ...unused])]
  if (wrong.length > 0) {
    const message = lock.exists ? `${lock.name} is not up to date: ${wrong.join('; ')}.` : `There is no ${lock.name}.`
    throw new VmctlError('vmctl::image::not_locked', message, {details: {lock: lock.path, problems: wrong}})
  }
  return {lock: lock.path, images: lock.images().map((image) => ({...partOf(image), change: 'unchanged', to: describeBuild(image)}))}
}

const requireLockable = async (engine: Engine, {path}: Vmfile): Promise<ImageLock> => {
  const lock = await openLock(engine, path)
  if (lock) return lock
  throw new VmctlError('vmctl::image::not_locked', `${path} is not a file, so there is no place for ${lockPath(path)}.`, {
    help: 'Save the VMFile first.',
  })
}

const named = async (engine: Engine, all: readonly ImageReference[], names: readonly string[]): Promise<readonly ImageReference[]> => {
  const {publishers} = await engine.catalogue()
  return names.flatMap((name) => {
    const wanted = findCatalogueImage(publishers, name)?.name ?? name
    const found = all.filter((reference) => [reference.source, lockedName(reference), displaySource(reference)].includes(wanted))
    if (found.length > 0) return found
    const known = all.map(displaySource)
    throw new VmctlError('vmctl::image::not_found', `No VM of the VMFile has the image ${JSON.stringify(name)} to be locked.`, {
      help: suggest(name, known) ?? `There are: ${known.join(', ') || 'none'}.`,
      details: {names: known},
    })
  })
}

interface Job {
  readonly lock: ImageLock
  readonly reference: ImageReference
}

const before = ({lock, reference}: Job): LockedImage | undefined =>
  lock.images().find((image) => lockedKey(image) === keyOfReference(reference))

/** What is there now of an image, fetched. */
const newest = async (engine: Engine, job: Job, {allowWeaker}: UpdateOptions): Promise<readonly LockedImage[]> => {
  const {lock, reference} = job
  const old = before(job)
  const refuse = (trust: LockedImage['trust']): void => {
    if (old && !allowWeaker) refuseWeaker(old, {trust})
  }
  if (reference.kind === 'name') {
    const {image, others} = await fetchUnlocked(engine, reference, {refresh: true, onResolved: ({trust}) => refuse(trust)})
    const found = await described(engine, {reference, image, others})
    return [...found, ...(await furtherArchitectures(engine, {lock, reference}, found))]
  }
  refuse(trustOfUrl(reference))
  // With a digest in the VMFile there is no other build to be had; a list says whether there is.
  const isSame =
    lock.find(reference) && (isPinned(reference) || (await isStillListed(engine.images, {reference, digests: old?.digests ?? {}}, engine)))
  if (isSame && old) return [old]
  const {image} = await fetchUnlocked(engine, reference, {fresh: !isPinned(reference)})
  return described(engine, {reference, image, others: []})
}

const isDeclared = ({sha256, sha512}: ImageReference): boolean => sha256 !== undefined || sha512 !== undefined

const described = async (
  engine: Engine,
  {reference, image, others}: {readonly reference: ImageReference; readonly image: BaseImage; readonly others: ResolvedImage['others']},
): Promise<readonly LockedImage[]> => {
  const build = await buildOfImage(engine.images, reference, image)
  return build ? lockedBuilds(await engine.catalogue(), {reference, build, others: others ?? []}) : []
}

/** Those for processors that somebody has locked, and whose builds are lists of their own: all of a name stay one release. */
const furtherArchitectures = async (
  engine: Engine,
  {lock, reference}: Job,
  found: readonly LockedImage[],
): Promise<readonly LockedImage[]> => {
  const known = new Set(found.map(lockedKey))
  const rest = lock.images().filter((image) => image.image === reference.source && !known.has(lockedKey(image)))
  const updated = await Promise.all(
    rest.map(async ({architecture, firmware}) => {
      if (architecture === undefined) return []
      const {firmware: _own, ...name} = reference
      return resolved(engine, {...name, architecture, ...(firmware && {firmware})})
    }),
  )
  return updated.flatMap(([own]) => (own ? [own] : []))
}

const resolved = async (engine: Engine, reference: ImageReference): Promise<readonly LockedImage[]> => {
  const onNotice = (message: string): void => void engine.emit({type: 'vm.notice', message})
  const found = await engine.images.resolve?.(reference, {signal: engine.signal, onNotice})
  return found ? lockedListing(await engine.catalogue(), reference, found) : []
}

/** What is there of an image that is not locked: in the cache, else on the list of its publisher; fetched where nothing else tells its digest. */
const current = async (engine: Engine, lock: ImageLock, reference: ImageReference): Promise<readonly LockedImage[]> => {
  const cached = await findImage(engine.images, reference)
  const found = cached ? await described(engine, {reference, image: cached, others: []}) : []
  const old = before({lock, reference})
  const fits = (images: readonly LockedImage[]): readonly LockedImage[] => {
    if (old && images[0]) refuseWeaker(old, images[0])
    return images
  }
  if (found.length > 0) return fits(found)
  if (reference.kind === 'name') return fits(await resolved(engine, reference))
  const digests = await declaredDigests(engine, reference)
  const image = lockedName(reference)
  if (digests && image !== undefined) return fits([{image, digests, trust: trustOfUrl(reference)}])
  const fetched = await fetchUnlocked(engine, reference, {})
  return fits(await described(engine, {reference, ...fetched}))
}

/** The digests of an image by URL that the VMFile, or the list that it names, tells. */
const declaredDigests = async (engine: Engine, reference: ImageReference): Promise<LockedDigests | undefined> => {
  const {sha256, sha512, checksumUrl, source} = reference
  const declared = {...(sha256 !== undefined && {sha256}), ...(sha512 !== undefined && {sha512})}
  if (checksumUrl === undefined) return isDeclared(reference) ? declared : undefined
  const listed = await sourceFor(engine.images.sources, parseImageUrl(source)).publishedDigests?.(reference, engine)
  return listed && {...listed, ...declared}
}

/** What has come to be known of a locked image since it was: its disk is in the cache. */
const completed = async (engine: Engine, image: LockedImage): Promise<LockedImage> => {
  const {sizeBytes, virtualSizeBytes, format} = (await buildOfDigests(engine.images, image.digests)) ?? {}
  return {
    ...(sizeBytes !== undefined && {sizeBytes}),
    ...(virtualSizeBytes !== undefined && {virtualSizeBytes}),
    ...(format && {format}),
    ...image,
  }
}

/** Puts what was found into the lock, in the place of what was there. */
const replace = async (lock: ImageLock, found: readonly LockedImage[]): Promise<LockChange[]> => {
  let changes: LockChange[] = []
  await lock.change((images) => {
    // Of other processors only the news.
    changes = found
      .map((image) =>
        changeOf(
          images.find((old) => lockedKey(old) === lockedKey(image)),
          image,
        ),
      )
      .filter(({change}, index) => index === 0 || change === 'updated')
    const replaced = new Set(found.map(lockedKey))
    return [...images.filter((image) => !replaced.has(lockedKey(image))), ...found]
  })
  return changes
}

const partOf = ({image, architecture, firmware}: LockedImage): Pick<LockChange, 'image' | 'architecture' | 'firmware'> => ({
  image,
  ...(architecture && {architecture}),
  ...(firmware && {firmware}),
})

const changeOf = (old: LockedImage | undefined, image: LockedImage): LockChange => {
  const part = {...partOf(image), to: describeBuild(image)}
  if (!old) return {...part, change: 'added'}
  return isSameBuild(old.digests, image.digests) ? {...part, change: 'unchanged'} : {...part, change: 'updated', from: describeBuild(old)}
}

/** What the VMFile does not use: a name that it does not have any more goes with all of its processors. */
const unusedOf = (images: readonly LockedImage[], used: readonly ImageReference[]): readonly LockedImage[] => {
  const names = new Set(used.map(lockedName))
  return images.filter(({image}) => !names.has(image))
}

const dropUnused = async (lock: ImageLock, used: readonly ImageReference[]): Promise<LockChange[]> => {
  let unused: readonly LockedImage[] = []
  await lock.change((images) => {
    unused = unusedOf(images, used)
    return images.filter((image) => !unused.includes(image))
  })
  return unused.map((image) => ({...partOf(image), change: 'removed', from: describeBuild(image)}))
}

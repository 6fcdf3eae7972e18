import {buildOfImage} from '../../image/cached-build.ts'
import {ensureImage} from '../../image/cache.ts'
import {placesOf} from '../../image/catalogue/places.ts'
import type {EnsureOptions, ResolvedForOther} from '../../image/image-store.ts'
import {findCatalogueImage, hasEnded} from '../../model/catalogue.ts'
import {isSameBuild, type LockedImage} from '../../model/lock.ts'
import type {BaseImage, ImageReference} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import {lockedBuilds} from './locked-builds.ts'

type FetchOptions = Pick<EnsureOptions, 'fresh' | 'name' | 'refresh'> & {readonly vm?: string}

/**
 * Makes an image usable, and tells what is to be known about it; where the verb goes by a lock file, the build that is locked there, and
 * one that is not gets locked. `vm` is the one that it is for.
 */
export const fetchReference = async (engine: Engine, reference: ImageReference, options: FetchOptions): Promise<BaseImage> => {
  const locked = engine.lock?.find(reference)
  if (locked) return fetchLocked(engine, {reference, locked}, options)
  const {others, image} = await fetchUnlocked(engine, reference, options)
  if (!engine.lock || reference.kind === 'file') return image
  const build = await buildOfImage(engine.images, reference, image)
  const found = build ? lockedBuilds(await engine.catalogue(), {reference, build, others}) : []
  const now = await engine.lock.add(reference, found)
  // Another vmctl has been quicker, and its publisher had another build.
  const isOurs = !now || !found[0] || isSameBuild(now.digests, found[0].digests) !== false
  return isOurs ? image : fetchLocked(engine, {reference, locked: now}, options)
}

/** The image that a publisher or a URL has now, and what is known of it for other processors. */
export const fetchUnlocked = async (
  engine: Engine,
  reference: ImageReference,
  options: FetchOptions & Pick<EnsureOptions, 'onResolved'>,
): Promise<{readonly image: BaseImage; readonly others: readonly ResolvedForOther[]}> => {
  let others: readonly ResolvedForOther[] = []
  const image = await ensure(engine, reference, {
    ...options,
    onResolved(resolved) {
      options.onResolved?.(resolved)
      others = resolved.others ?? []
    },
  })
  return {image, others}
}

const fetchLocked = async (
  engine: Engine,
  {reference, locked: {url, digests}}: {readonly reference: ImageReference; readonly locked: LockedImage},
  options: FetchOptions,
): Promise<BaseImage> => {
  const isNamed = reference.kind === 'name'
  const urls = url === undefined ? [] : isNamed ? placesOf(await engine.catalogue(), reference.source, url) : [url]
  return ensure(engine, reference, {...options, locked: {digests, urls}})
}

const ensure = async (
  engine: Engine,
  reference: ImageReference,
  options: FetchOptions & Pick<EnsureOptions, 'locked' | 'onResolved'>,
): Promise<BaseImage> => {
  const {vm, ...how} = options
  const subject = vm === undefined ? {} : {vm}
  const onNotice = (message: string): void => void engine.emit({type: 'vm.notice', message, ...subject})
  await tellEnd(engine, reference, onNotice)
  return ensureImage(engine.images, reference, {
    ...how,
    signal: engine.signal,
    onNotice,
    onEvent: (event) => void engine.emit({...event, ...subject}),
  })
}

const tellEnd = async (engine: Engine, {kind, source}: ImageReference, onNotice: (message: string) => void): Promise<void> => {
  if (kind !== 'name') return
  const {publishers} = await engine.catalogue()
  const image = findCatalogueImage(publishers, source)
  if (!image || !hasEnded(image.release, new Date().toISOString().slice(0, 10))) return
  const [newest] = image.publisher.releases
  onNotice(
    `${source} has not been maintained since ${image.release.ends}: nobody repairs its faults.${newest && newest !== image.release ? ` ${image.publisher.name}:${newest.tag} is.` : ''}`,
  )
}

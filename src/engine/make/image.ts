import {ensureImage} from '../../image/cache.ts'
import type {EnsureOptions} from '../../image/image-store.ts'
import {findCatalogueImage, hasEnded} from '../../model/catalogue.ts'
import type {BaseImage, ImageReference} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'

/** Makes an image usable, and tells what is to be known about it. `vm` is the one that it is for. */
export const fetchReference = async (
  engine: Engine,
  reference: ImageReference,
  options: Pick<EnsureOptions, 'fresh' | 'name' | 'refresh'> & {readonly vm?: string},
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

import {findCatalogueImage, type Mirror} from '../../model/catalogue.ts'
import type {Catalogue} from './resolve.ts'

/** Where the files of an image are: at its publisher, and at the mirrors that this user has. */
interface Origins {
  readonly publisher?: string
  readonly mirrors: readonly Mirror[]
}

const originsOf = ({publishers, mirrors}: Catalogue, name: string): Origins => {
  const image = findCatalogueImage(publishers, name)
  if (!image) return {mirrors: []}
  return {
    publisher: image.release.origin ?? image.publisher.origin,
    mirrors: mirrors.filter(({publisher}) => publisher === image.publisher.name),
  }
}

const moved = (url: string, from: string, to: string): string[] => (url.startsWith(`${from}/`) ? [`${to}${url.slice(from.length)}`] : [])

/** The URL of a file as everybody may use it: that of the publisher, although it came from a mirror. */
export const publicUrl = (catalogue: Catalogue, name: string, url: string): string => {
  const {publisher, mirrors} = originsOf(catalogue, name)
  const [found = url] = publisher === undefined ? [] : mirrors.flatMap(({origin}) => moved(url, origin, publisher))
  return found
}

/** Where a file of a publisher can be had: at the mirrors of this user first, and nowhere else when one of them has everything. */
export const placesOf = (catalogue: Catalogue, name: string, url: string): readonly string[] => {
  const {publisher, mirrors} = originsOf(catalogue, name)
  const mirrored = publisher === undefined ? [] : mirrors.flatMap(({origin}) => moved(url, publisher, origin))
  const isEnough = mirrored.length > 0 && mirrors.some(({isComplete}) => isComplete)
  return isEnough ? mirrored : [...mirrored, url]
}

import {findCatalogueImage} from '../../model/catalogue.ts'
import type {Catalogue} from './resolve.ts'

/** Where the files of an image are: at its publisher, and at a mirror that this user has. */
interface Origins {
  readonly publisher?: string
  readonly mirror?: string
}

const originsOf = ({publishers, mirrors}: Catalogue, name: string): Origins => {
  const image = findCatalogueImage(publishers, name)
  if (!image) return {}
  const mirror = mirrors.find(({publisher}) => publisher === image.publisher.name)?.origin
  return {publisher: image.release.origin ?? image.publisher.origin, ...(mirror !== undefined && {mirror})}
}

const moved = (url: string, from: string | undefined, to: string | undefined): string | undefined =>
  from !== undefined && to !== undefined && url.startsWith(`${from}/`) ? `${to}${url.slice(from.length)}` : undefined

/** The URL of a file as everybody may use it: that of the publisher, although it came from a mirror. */
export const publicUrl = (catalogue: Catalogue, name: string, url: string): string => {
  const {publisher, mirror} = originsOf(catalogue, name)
  return moved(url, mirror, publisher) ?? url
}

/** Where a file of a publisher can be had: at the mirror of this user first. */
export const placesOf = (catalogue: Catalogue, name: string, url: string): readonly string[] => {
  const {publisher, mirror} = originsOf(catalogue, name)
  const mirrored = moved(url, publisher, mirror)
  return mirrored === undefined ? [url] : [mirrored, url]
}

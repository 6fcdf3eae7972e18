import {findCatalogueImage} from '../../model/catalogue.ts'
import type {Catalogue} from './resolve.ts'

/** Where the files of an image are: at its publisher, and at the mirrors that this user has. */
interface Origins {
  readonly publisher?: string
  readonly mirrors: readonly string[]
}

const originsOf = ({publishers, mirrors}: Catalogue, name: string): Origins => {
  const image = findCatalogueImage(publishers, name)
  if (!image) return {mirrors: []}
  const own = mirrors.filter(({publisher}) => publisher === image.publisher.name).map(({origin}) => origin)
  return {publisher: image.release.origin ?? image.publisher.origin, mirrors: own}
}

const moved = (url: string, from: string | undefined, to: string | undefined): readonly string[] =>
  from !== undefined && to !== undefined && url.startsWith(`${from}/`) ? [`${to}${url.slice(from.length)}`] : []

/** The URL of a file as everybody may use it: that of the publisher, although it came from a mirror. */
export const publicUrl = (catalogue: Catalogue, name: string, url: string): string => {
  const {publisher, mirrors} = originsOf(catalogue, name)
  return mirrors.flatMap((mirror) => moved(url, mirror, publisher))[0] ?? url
}

/** Where a file of a publisher can be had: at the mirrors of this user first. */
export const placesOf = (catalogue: Catalogue, name: string, url: string): readonly string[] => {
  const {publisher, mirrors} = originsOf(catalogue, name)
  return [...mirrors.flatMap((mirror) => moved(url, publisher, mirror)), url]
}

import type {CachedBuild} from '../../image/cached-build.ts'
import {publicUrl} from '../../image/catalogue/places.ts'
import type {Catalogue} from '../../image/catalogue/resolve.ts'
import type {ResolvedForOther, ResolvedImage} from '../../image/image-store.ts'
import {trustOfUrl} from '../../image/trust.ts'
import type {Architecture} from '../../model/catalogue.ts'
import {lockedName, type LockedDigests, type LockedImage} from '../../model/lock.ts'
import type {ImageReference} from '../../model/vm.ts'

/** What is to be locked of an image in the cache: that of the reference first, then what is known for other processors. */
export const lockedBuilds = (
  catalogue: Catalogue,
  found: {readonly reference: ImageReference; readonly build: CachedBuild; readonly others: readonly ResolvedForOther[]},
): readonly LockedImage[] => {
  const {reference, build, others} = found
  const {url, lastModified, listed = ['sha256'], digests, ...facts} = build
  const place = url === undefined ? undefined : reference.kind === 'name' ? publicUrl(catalogue, reference.source, url) : url
  const published = dayOf(place, lastModified)
  const own: LockedImage = {
    ...partOf(reference, reference.architecture),
    ...facts,
    // What the VMFile says of a URL, and not what another one has said of it before.
    trust: reference.kind === 'url' ? trustOfUrl(reference) : facts.trust,
    ...(place !== undefined && place !== lockedName(reference) && {url: place}),
    digests: chosen(digests, reference, reference.kind === 'name' ? listed : ['sha256']),
    ...(published !== undefined && {published}),
  }
  return [own, ...lockedOthers(catalogue, reference, others)]
}

/** The same of what a publisher lists, before anything is fetched. */
export const lockedListing = (catalogue: Catalogue, reference: ImageReference, resolved: ResolvedImage): readonly LockedImage[] => [
  listed(catalogue, reference, {...resolved, architecture: reference.architecture ?? 'x86_64'}),
  ...lockedOthers(catalogue, reference, resolved.others ?? []),
]

const lockedOthers = (catalogue: Catalogue, reference: ImageReference, others: readonly ResolvedForOther[]): readonly LockedImage[] =>
  others.map((other) => listed(catalogue, {...reference, architecture: other.architecture}, other))

const listed = (catalogue: Catalogue, reference: ImageReference, {urls, digests, trust, architecture}: ResolvedForOther): LockedImage => {
  const url = publicUrl(catalogue, reference.source, urls.at(-1) ?? '')
  const published = dayOf(url)
  return {...partOf(reference, architecture), url, digests, ...(published !== undefined && {published}), trust}
}

const partOf = (
  reference: ImageReference,
  architecture: Architecture = 'x86_64',
): Pick<LockedImage, 'image' | 'architecture' | 'firmware'> => {
  const image = lockedName(reference) ?? reference.source
  if (reference.kind === 'url') return {image}
  return {image, architecture, ...(reference.firmware && {firmware: reference.firmware})}
}

/** The digests by which people know the build: that of its publisher, or SHA-256, and those that the VMFile gives. */
const chosen = (digests: Required<LockedDigests>, declared: LockedDigests, given: readonly ('sha256' | 'sha512')[]): LockedDigests =>
  Object.fromEntries(
    (['sha256', 'sha512'] as const).filter((one) => given.includes(one) || declared[one] !== undefined).map((one) => [one, digests[one]]),
  )

/** The day of a build, `YYYY-MM-DD`: the one in the path of its file, else that on which the server has it from. */
const dayOf = (url: string | undefined, lastModified?: string): string | undefined => {
  const [, year, month, day] = /(?<!\d)(20\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?!\d)/.exec(url ?? '') ?? []
  if (year !== undefined && month !== undefined && day !== undefined) return `${year}-${month}-${day}`
  const modified = lastModified === undefined ? Number.NaN : Date.parse(lastModified)
  return Number.isNaN(modified) ? undefined : new Date(modified).toISOString().slice(0, 10)
}

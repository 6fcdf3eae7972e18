import {type Architecture, architectures, type Firmware, type Trust, trustLevels} from './catalogue.ts'
import {recordedUrl} from './secrets.ts'
import type {ImageFormat, ImageReference} from './vm.ts'

/** Lower-case hex digests of a file as published; at least one. */
export interface LockedDigests {
  readonly sha256?: string
  readonly sha512?: string
}

/** One build of an image, by its digest; the rest says where it was found and what is known of it. */
export interface LockedBuild {
  /** Where its publisher has it; of an image by URL only where that is another place, as in a registry. */
  readonly url?: string
  readonly digests: LockedDigests
  /** Of the file as published. */
  readonly sizeBytes?: number
  /** What the guest sees. */
  readonly virtualSizeBytes?: number
  readonly format?: ImageFormat
  /** `YYYY-MM-DD`. */
  readonly published?: string
  readonly trust: Trust
}

/** What a lock file says of one image for one kind of guest. */
export interface LockedImage extends LockedBuild {
  /** Name in the catalogue, or URL without credentials. */
  readonly image: string
  /** Of an image with a name. */
  readonly architecture?: Architecture
  /** Where a name has an image for each. */
  readonly firmware?: Firmware
}

/** What a lock file calls an image; undefined for a file of the host, which is never locked. */
export const lockedName = ({kind, source}: ImageReference): string | undefined =>
  kind === 'file' ? undefined : kind === 'url' ? recordedUrl(source) : source

/** Tells the images of a lock file from each other. */
export const lockedKey = ({image, architecture, firmware}: Pick<LockedImage, 'image' | 'architecture' | 'firmware'>): string =>
  [image, architecture, firmware].filter((word) => word !== undefined).join(' ')

/** The part of a lock file that is about a reference. */
export const keyOfReference = (reference: ImageReference): string | undefined => {
  const image = lockedName(reference)
  if (image === undefined || reference.kind === 'url') return image
  const {architecture = 'x86_64', firmware} = reference
  return lockedKey({image, architecture, ...(firmware && {firmware})})
}

/** The order of a lock file: it depends on nothing but what is locked, so that a change is a few lines. */
export const inLockOrder = (images: readonly LockedImage[]): readonly LockedImage[] => images.toSorted(byPlace)

const byPlace = (left: LockedImage, right: LockedImage): number =>
  byText(left.image, right.image) || rank(left) - rank(right) || byText(left.firmware ?? '', right.firmware ?? '')

const byText = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0)

const rank = ({architecture}: LockedImage): number => (architecture === undefined ? -1 : architectures.indexOf(architecture))

const algorithms = ['sha256', 'sha512'] as const

/** Whether two are the same bytes, as far as they have digests of one kind; undefined when they have none. */
export const isSameBuild = (left: LockedDigests, right: LockedDigests): boolean | undefined => {
  const shared = algorithms.filter((algorithm) => left[algorithm] !== undefined && right[algorithm] !== undefined)
  return shared.length === 0 ? undefined : shared.every((algorithm) => left[algorithm] === right[algorithm])
}

/** Whether a locked build is one that the VMFile still means: every digest that it declares is the locked one. */
export const fitsDeclared = ({digests}: LockedBuild, declared: LockedDigests): boolean =>
  algorithms.every((algorithm) => declared[algorithm] === undefined || declared[algorithm] === digests[algorithm])

/** Whether one can be trusted less than another. */
export const isWeaker = (trust: Trust, than: Trust): boolean => trustLevels.indexOf(trust.level) < trustLevels.indexOf(than.level)

/** A build for people: its date, if that is known, and the first digits of its digest. */
export const describeBuild = ({published, digests}: LockedBuild): string => {
  const digest = (digests.sha256 ?? digests.sha512 ?? '').slice(0, 12)
  return published === undefined ? digest : `${published} ${digest}`
}

import type {Trust} from '../model/catalogue.ts'
import {isWeaker} from '../model/lock.ts'
import {isLoopbackRegistry, type OciReference, ociScheme, parseOciReference} from '../model/oci-reference.ts'
import type {ImageReference} from '../model/vm.ts'
import type {CacheEntry} from './entries.ts'

/** The one of two that says more. */
export const strongest = (left: Trust, right: Trust): Trust => (isWeaker(left, right) ? right : left)

/** What is known of an image by URL: a digest that the user declares, a list that came over https, or that of a manifest was compared. */
export const trustOfUrl = (reference: ImageReference): Trust => {
  const {checksumUrl, insecure} = reference
  const inRegistry = registryOf(reference)
  // Of a tag the registry tells the digest, by https unless it is on this host.
  const isToldSafely = inRegistry ? !isLoopbackRegistry(inRegistry.registry) : checksumUrl?.startsWith('https:') === true
  return {level: isPinned(reference) || (isToldSafely && !insecure) ? 'checksum' : 'none'}
}

/** Whether the reference itself says by a digest which build it means. */
export const isPinned = (reference: ImageReference): boolean =>
  reference.sha256 !== undefined || reference.sha512 !== undefined || registryOf(reference)?.digest !== undefined

const registryOf = (reference: ImageReference): OciReference | undefined => {
  const image = isOci(reference) ? parseOciReference(reference.source) : undefined
  return image && 'registry' in image ? image : undefined
}

export const isOci = ({kind, source}: ImageReference): boolean => kind === 'url' && source.startsWith(ociScheme)

/** Of an entry that was written before trust was recorded, the little that it says. */
export const trustOf = ({trust, verifiedBy}: CacheEntry): Trust => trust ?? {level: verifiedBy.length > 0 ? 'checksum' : 'none'}

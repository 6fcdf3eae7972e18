import type {Trust} from '../model/catalogue.ts'
import {isWeaker} from '../model/lock.ts'
import type {ImageReference} from '../model/vm.ts'
import type {CacheEntry} from './entries.ts'

/** The one of two that says more. */
export const strongest = (left: Trust, right: Trust): Trust => (isWeaker(left, right) ? right : left)

/** What is known of an image by URL: a digest that the user declares, or a list that came over https, was compared. */
export const trustOfUrl = ({sha256, sha512, checksumUrl, insecure}: ImageReference): Trust => {
  const isDeclared = sha256 !== undefined || sha512 !== undefined
  const isListed = checksumUrl?.startsWith('https:') === true && !insecure
  return {level: isDeclared || isListed ? 'checksum' : 'none'}
}

/** Of an entry that was written before trust was recorded, the little that it says. */
export const trustOf = ({trust, verifiedBy}: CacheEntry): Trust => trust ?? {level: verifiedBy.length > 0 ? 'checksum' : 'none'}

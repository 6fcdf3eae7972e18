import {closest, didYouMean} from '../../model/names.ts'
import type {Scalar} from './tree.ts'

const longest = 60

/** A text of the user for a message: quoted, with control characters escaped, and never longer than a line. */
export const quoted = (text: string): string =>
  // JSON escapes the control characters of ASCII only.
  JSON.stringify(text.length > longest ? `${text.slice(0, longest)}…` : text).replaceAll(
    /\p{Cc}/gu,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** A word of the user for a message: as it is when it is harmless. */
export const plain = (word: string): string => (/^[\w.:-]{1,60}$/.test(word) ? word : quoted(word))

/** What a value is, for `expected …, found …`. URLs are not repeated: they may hold a password. */
export const describe = (value: Scalar): string => {
  if (value === null) return '#null'
  if (typeof value === 'boolean') return `#${value}`
  if (typeof value === 'number') return `the number ${value}`
  return value.includes('://') ? 'a URL' : `the text ${quoted(value)}`
}

/** `"a"`, `"a" or "b"`, `"a", "b" or "c"`. */
export const listOf = (words: readonly string[]): string => {
  const all = words.map((word) => `"${word}"`)
  return all.length > 1 ? `${all.slice(0, -1).join(', ')} or ${all.at(-1)}` : all.join('')
}

/** `a path`, `an image format`. */
export const withArticle = (noun: string): string => `${/^[aeio]/i.test(noun) ? 'an' : 'a'} ${noun}`

/** `did you mean "vcpus"?`, as a hint, which begins small. */
export const meant = (word: string): string => didYouMean(word).replace('Did', 'did')

/** The same, when one of the words is close enough. */
export const nearest = (name: string, candidates: Iterable<string>): string | undefined => {
  const candidate = closest(name, candidates)
  return candidate && meant(candidate)
}

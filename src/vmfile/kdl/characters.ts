/** The character classes of KDL 2, as sources for regular expressions. */
export const blank = '\\t \\u00A0\\u1680\\u2000-\\u200A\\u202F\\u205F\\u3000'
export const lineEnd = '\\n-\\r\\u0085\\u2028\\u2029'

export const blanks = new RegExp(`[${blank}]+`, 'y')
export const blankOnly = new RegExp(`^[${blank}]*$`)
export const blanksAndLineEnds = new RegExp(`[${blank}${lineEnd}]+`, 'y')
/** Global, so it has a memory: use it by way of `matchAt`, `split` or a copy. */
export const newLine = new RegExp(`\\r\\n|[${lineEnd}]`, 'g')
export const newLineHere = new RegExp(`\\r\\n|[${lineEnd}]`, 'y')

/** A bare word: an identifier, a number, or what somebody forgot to quote. */
export const wordHere = new RegExp(`[^${blank}${lineEnd}"#()/\\\\;={}\\[\\]\\uFEFF]+`, 'y')

/** Where a value that lacks its quotes ends, as far as one can guess. */
export const unquotedHere = new RegExp(`[^${blank}${lineEnd}"{};]*`, 'y')

/** What KDL forbids everywhere: control characters, direction overrides, a byte order mark inside the text, half a surrogate pair. */
// oxlint-disable-next-line no-control-regex
export const forbidden = /[\0-\x08\x0E-\x1F\x7F\u200E\u200F\u202A-\u202E\u2066-\u2069\uD800-\uDFFF]|(?<!^)\uFEFF/u

/** `U+202E`. */
export const codePointName = (character: string): string =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`

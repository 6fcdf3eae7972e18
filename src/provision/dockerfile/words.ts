/** Looks a variable up; undefined when it is not set. */
export type Lookup = (name: string) => string | undefined

/** The pieces of a line: an escaped character, a quoted string, a variable, a run of blanks, or any other character. */
const pieces = {
  '\\': /\\.|"(?:\\.|[^"\\])*"|'[^']*'|\$\{(?:[^{}]|\{[^{}]*\})*\}|\$[A-Za-z_]\w*|\s+|[^]/gs,
  '`': /`.|"(?:`.|[^"`])*"|'[^']*'|\$\{(?:[^{}]|\{[^{}]*\})*\}|\$[A-Za-z_]\w*|\s+|[^]/gs,
} as const

/** The character that protects the next one: a backslash, unless the Dockerfile chooses a backquote. */
export type Escape = keyof typeof pieces

/**
 * Splits the arguments of ENV, ARG, COPY and the like at blanks, as a shell does: quotes and the escape character protect, and
 * stay where they are until `expandWord` removes them.
 */
export const splitWords = (text: string, escape: Escape): string[] => {
  const words: string[] = ['']
  for (const [piece] of text.matchAll(pieces[escape])) {
    if (/^\s/.test(piece)) words.push('')
    else words.push(`${words.pop()}${piece}`)
  }
  return words.filter((word) => word !== '')
}

/**
 * Replaces variables and removes quotes (Dockerfile reference, "Environment replacement"): `$NAME`, `${NAME}`, `${NAME:-word}`,
 * `${NAME:+word}`, `${NAME:?message}`, and the forms without a colon; nothing is replaced in single quotes or behind the escape
 * character. Throws an Error for another substitution.
 */
export const expandWord = (word: string, lookup: Lookup, escape: Escape): string =>
  word.replaceAll(pieces[escape], (piece) => {
    if (piece.length === 1) return piece
    if (piece.startsWith("'")) return piece.slice(1, -1)
    if (piece.startsWith('"')) return expandQuoted(piece.slice(1, -1), lookup, escape)
    if (piece.startsWith(escape)) return piece.slice(1)
    return piece.startsWith('$') ? substitute(piece, lookup, escape) : piece
  })

/** Within double quotes the escape character is one only before what it can protect, and single quotes are characters. */
const expandQuoted = (text: string, lookup: Lookup, escape: Escape): string =>
  text.replaceAll(pieces[escape], (piece) => {
    if (piece.startsWith(escape)) return ['"', '$', escape].includes(piece.slice(1)) ? piece.slice(1) : piece
    if (piece.startsWith("'") && piece.length > 1) return `'${expandQuoted(piece.slice(1, -1), lookup, escape)}'`
    return piece.startsWith('$') && piece.length > 1 ? substitute(piece, lookup, escape) : piece
  })

/** `piece` is `$NAME` or `${…}`. */
const substitute = (piece: string, lookup: Lookup, escape: Escape): string => {
  const {name, operator, rest} = parts(piece)
  const value = lookup(name)
  const isSet = value !== undefined && (value !== '' || !operator.startsWith(':'))
  const word = (): string => expandWord(rest, lookup, escape)
  if (operator.endsWith('+')) return isSet ? word() : ''
  if (isSet || operator === '') return value ?? ''
  if (operator.endsWith('-')) return word()
  throw new Error(`${name} is not set${rest === '' ? '' : `: ${word()}`}`)
}

const parts = (piece: string): {name: string; operator: string; rest: string} => {
  const inner = piece.startsWith('${') ? piece.slice(2, -1) : piece.slice(1)
  const [, name, operator = '', rest = ''] = /^([A-Za-z_]\w*)(?:(:?[-+?])(.*))?$/s.exec(inner) ?? []
  if (name === undefined) throw new Error(`${piece} is not a substitution that vmctl knows`)
  return {name, operator, rest}
}

import {blank, blankOnly, lineEnd, newLine} from './characters.ts'
import type {Scalar} from './tree.ts'

/*
 * What the lexemes stand for (KDL 2.0.0, "String" to "Keyword Number Values"). The scanner has found them to be well-formed,
 * so nothing is checked here but what only decoding shows.
 */

const words: ReadonlyMap<string, Scalar> = new Map<string, Scalar>([
  ['#true', true],
  ['#false', false],
  ['#null', null],
  ['#inf', Infinity],
  ['#-inf', -Infinity],
  ['#nan', NaN],
  ['true', true],
  ['false', false],
  ['null', null],
])

/** `#true` and its like; also `true`, `false` and `null` of KDL 1. */
export const decodeKeyword = (image: string): Scalar => words.get(image) ?? null

const radixes: Readonly<Record<string, number>> = {x: 16, o: 8, b: 2}

export const decodeNumber = (image: string): number => {
  const [, sign = '', letter = '', digits = ''] = /^([+-]?)0([xob])(.+)$/.exec(image) ?? []
  const radix = radixes[letter]
  if (radix === undefined) return Number(image.replaceAll('_', ''))
  const size = Number.parseInt(digits.replaceAll('_', ''), radix)
  return sign === '-' ? -size : size
}

/** `"…"`, `"""…"""` and both with `#` around. Undefined when a line of several is indented less than the closing quotes. */
export const decodeString = (image: string): string | undefined => {
  const hashes = image.indexOf('"')
  const inner = image.slice(hashes, image.length - hashes)
  const isRaw = hashes > 0
  if (!inner.startsWith('"""') || inner.length < 6) {
    const text = inner.slice(1, -1)
    return isRaw ? text : unescape(text)
  }
  const text = inner.slice(3, -3)
  // Blanks are escaped before the indentation goes, everything else after.
  const lines = dedent(
    isRaw ? text : text.replace(newLine, '\n').replaceAll(escape, (whole, _code, gap) => (gap === undefined ? whole : '')),
  )
  return lines === undefined || isRaw ? lines : unescape(lines)
}

const escape = new RegExp(`\\\\(?:u\\{([\\da-fA-F]+)\\}|([${blank}${lineEnd}]+)|(.))`, 'gsu')

const characters: Readonly<Record<string, string>> = {n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', s: ' '}

const unescape = (text: string): string =>
  text.includes('\\')
    ? text.replaceAll(escape, (_, code?: string, gap?: string, character = '') => {
        if (code !== undefined) return String.fromCodePoint(Number.parseInt(code, 16))
        return gap === undefined ? (characters[character] ?? character) : ''
      })
    : text

/** Takes the indentation of the closing quotes from every line, and the line ends after the opening and before the closing ones. */
const dedent = (text: string): string | undefined => {
  const [, ...lines] = text.split(newLine)
  const indent = lines.pop() ?? ''
  if (!blankOnly.test(indent) || !lines.every((line) => blankOnly.test(line) || line.startsWith(indent))) return undefined
  return lines.map((line) => (blankOnly.test(line) ? '' : line.slice(indent.length))).join('\n')
}

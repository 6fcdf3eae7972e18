import {ImportError} from '../../draft.ts'
import type {TextPart} from './tokens.ts'

interface Quoting {
  /** Behind what opens it. */
  readonly at: number
  readonly line: number
  /** What closes it; the end of the text when absent. */
  readonly close: string | undefined
  /** What opens another one within it. */
  readonly open?: string
  /** Whether escapes and code are just characters. */
  readonly isRaw: boolean
}

export const closingOf = (open: string): string => ({'(': ')', '[': ']', '{': '}', '<': '>'})[open] ?? open

const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  s: ' ',
  e: '\u001B',
  a: '\u0007',
  b: '\b',
  f: '\f',
  v: '\v',
  '0': '\0',
}

/**
 * Reads a text up to what closes it: characters with their escapes resolved, and the code of `#{…}`.
 * @throws ImportError when it never ends
 */
export const readQuoted = (text: string, quoting: Quoting): {readonly parts: readonly TextPart[]; readonly to: number} => {
  const {close, open, isRaw} = quoting
  const parts: TextPart[] = []
  let [characters, depth, {at}] = ['', 0, quoting]
  const flush = (): void => {
    if (characters !== '') parts.push(characters)
    characters = ''
  }
  while (at < text.length) {
    const character = text[at] ?? ''
    if (character === close && depth === 0) break
    if (character === '\\') {
      const {value, length} = isRaw ? rawEscape(text, at, quoting) : escape(text, at)
      characters += value
      at += length
    } else if (!isRaw && character === '#' && text[at + 1] === '{') {
      flush()
      const end = endOfCode(text, at + 2, quoting.line)
      parts.push({code: text.slice(at + 2, end), line: quoting.line + text.slice(quoting.at, at).split('\n').length - 1})
      at = end + 1
    } else {
      depth += Number(character === open) - Number(character === close)
      characters += character
      at += 1
    }
  }
  if (at >= text.length && close !== undefined) throw new ImportError(`line ${quoting.line}: a text that begins here never ends`)
  flush()
  return {parts, to: Math.min(text.length, at + 1)}
}

const escape = (text: string, at: number): {value: string; length: number} => {
  const next = text[at + 1] ?? ''
  if (next === '\n') return {value: '', length: 2}
  const [code, braces, digits] = /^\\(?:u\{([\da-fA-F]{1,6})\}|u([\da-fA-F]{4})|x[\da-fA-F]{1,2})/.exec(text.slice(at, at + 12)) ?? []
  if (code !== undefined) {
    const number = Number.parseInt(braces ?? digits ?? code.slice(2), 16)
    return {value: number <= 0x10_ff_ff ? String.fromCodePoint(number) : '', length: code.length}
  }
  return {value: escapes[next] ?? next, length: 2}
}

/** Only what closes (or opens) the text, and the backslash itself, can be escaped. */
const rawEscape = (text: string, at: number, {close, open}: Quoting): {value: string; length: number} => {
  const next = text[at + 1]
  const isEscaped = close !== undefined && (next === close || next === open || next === '\\')
  return isEscaped ? {value: next ?? '', length: 2} : {value: '\\', length: 1}
}

/** The brace that closes `#{`, over texts with braces of their own. */
const endOfCode = (text: string, from: number, line: number): number => {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const character = text[at]
    if (character === '}' && depth === 0) return at
    if (character === '{') depth += 1
    if (character === '}') depth -= 1
    if (character === '"' || character === "'") {
      const end = endOfText(text, at + 1, character)
      at = end
    }
  }
  throw new ImportError(`line ${line}: the code of a #{ never ends`)
}

const endOfText = (text: string, from: number, quote: string): number => {
  let at = from
  while (at < text.length && text[at] !== quote) at += text[at] === '\\' ? 2 : 1
  return at
}

/** Removes the indent that all lines have in common (`<<~`); lines of blanks do not count. */
export const dedent = (lines: readonly string[]): readonly string[] => {
  const depths = lines.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length)
  const depth = depths.length === 0 ? 0 : depths.reduce((least, one) => Math.min(least, one))
  return lines.map((line) => (line.trim() === '' ? line.slice(depth) : line.slice(depth)))
}

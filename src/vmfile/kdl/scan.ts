import {blanks, codePointName, forbidden, newLine, newLineHere, unquotedHere, wordHere} from './characters.ts'
import {openBlock} from './braces.ts'
import {type Fault, fault} from './fault.ts'
import {matchAt, type Scanned, scanRawString, scanString} from './scan-strings.ts'
import type {Lexeme, LexemeKind} from './lexemes.ts'
import {quoted} from './wording.ts'

/** Nobody nests deeper by hand; reading is recursive, and would run out of stack at some thousands. */
export const maxDepth = 64

const numberWord = /^[+-]?(?:0x[\da-fA-F][\da-fA-F_]*|0o[0-7][0-7_]*|0b[01][01_]*|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d[\d_]*)?)$/
const numberStart = /^[+-]?\.?\d/
const keyword = /#(?:true|false|null|inf|-inf|nan)(?![\w-])/y
const commentDelimiter = /\/\*|\*\//g
const continuation = /\\[\t \u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]*(?:\/[/*]|[\n-\r\u0085\u2028\u2029]|$)/y
const hashesAndQuote = /#+"/y
const quoteLookalike = /^['‘’“”`«»„]/

/** A text that is cut up. */
export interface Scan {
  readonly lexemes: readonly Lexeme[]
  /** What is wrong, in the order of the text. */
  readonly faults: readonly Fault[]
  /** Whether the end of the text was reached: the lexemes then stand for what was meant, faults or not. */
  readonly isWhole: boolean
  /** How many blocks are open at the end, by their braces alone. */
  readonly open: number
}

/** Who makes more mistakes of this kind has not written a VMFile. */
export const mostFaults = 20

/**
 * Cuts a text into lexemes and checks each of them; what they mean together is the business of `readNodes`. Linear in the
 * length of the text, whatever is in it.
 */
export const scanLexemes = (text: string): Scan => {
  const character = forbidden.exec(text)
  if (character) {
    const name = codePointName(character[0])
    const forbiddenHere = fault(
      character.index,
      character.index + character[0].length,
      `the character ${name} is not allowed in a VMFile`,
      `remove it, or write \\u{${name.slice(2)}} in a string`,
    )
    return {lexemes: [], faults: [forbiddenHere], isWhole: false, open: 0}
  }
  const lexemes: Lexeme[] = []
  const faults: Fault[] = []
  const blocks: number[] = []
  /** Where the backslash stands that continues the line. */
  let continued: number | undefined
  let at = text.startsWith('\uFEFF') ? 1 : 0
  while (at < text.length) {
    const next = scanToken(text, at, blocks)
    if (typeof next !== 'number') {
      faults.push(next)
      const {resume} = next
      if (!resume || resume.at <= at || faults.length === mostFaults) return {lexemes, faults, isWhole: false, open: 0}
      // A value that needs quotes may begin with what was taken for a word.
      while ((lexemes.at(-1)?.end ?? 0) > next.start) lexemes.pop()
      if (resume.kind) lexemes.push({kind: resume.kind, start: Math.min(at, next.start), end: resume.at})
      at = resume.at
      continue
    }
    const kind = kindOf(text, at, next)
    if (continued !== undefined) {
      if (kind === 'end' && text[at] !== ';') continued = undefined
      else if (kind !== undefined) return {lexemes, faults: [...faults, unquoted(text, continued)], isWhole: false, open: 0}
    } else if (text[at] === '\\') continued = at
    else if (kind !== undefined) lexemes.push({kind, start: at, end: next})
    at = next
  }
  const unclosed = openBlock(text, lexemes)
  if (unclosed !== undefined) faults.push(fault(unclosed, unclosed + 1, 'this block is never closed', 'add a matching }'))
  return {lexemes, faults, isWhole: true, open: blocks.length}
}

/** A fault of one token. */
const inToken = (found: Fault, at = found.end): Fault => ({...found, resume: {at, kind: 'bare'}})

/** A fault of something that stands for nothing. */
const inGap = (found: Fault, at = found.end): Fault => ({...found, resume: {at}})

/** What kind of lexeme a token is; blanks and comments are none. */
const kindOf = (text: string, start: number, end: number): LexemeKind | undefined => {
  const first = text[start]
  switch (first) {
    case '{':
    case '}':
    case '(':
    case ')':
    case '=':
      return first
    case ';':
      return 'end'
    case '"':
      return 'string'
    case '/':
      return text[start + 1] === '-' ? '/-' : undefined
    case '#':
      return text[end - 1] === '#' ? 'string' : 'keyword'
    default:
      if (matchAt(newLineHere, text, start)) return 'end'
      if (matchAt(blanks, text, start)) return undefined
      return numberWord.test(text.slice(start, end)) ? 'number' : 'bare'
  }
}

const scanToken = (text: string, at: number, blocks: number[]): Scanned => {
  const gap = matchAt(blanks, text, at) ?? matchAt(newLineHere, text, at)
  if (gap) return at + gap[0].length
  switch (text[at]) {
    case '{':
      blocks.push(at)
      return blocks.length > maxDepth
        ? fault(at, at + 1, `blocks are nested deeper than ${maxDepth}`, 'a VMFile needs three levels')
        : at + 1
    case '}':
      return blocks.pop() === undefined ? fault(at, at + 1, 'this } closes nothing', 'remove it, or add the { that it closes') : at + 1
    case '(':
    case ')':
    case '=':
    case ';':
      return at + 1
    case '/':
      return scanSlash(text, at)
    case '\\':
      return matchAt(continuation, text, at) ? at + 1 : unquoted(text, at)
    case '[':
    case ']':
      return inGap(fault(at, at + 1, 'KDL has no brackets', 'write a list as several values on one line: accel "kvm" "tcg"'))
    case '"':
      return thenGap(text, scanString(text, at))
    case '#':
      return thenGap(text, scanHash(text, at))
    default:
      return scanWord(text, at)
  }
}

const scanSlash = (text: string, at: number): Scanned => {
  if (text[at + 1] === '-') return at + 2
  if (text[at + 1] === '/') return lineEndAfter(text, at)
  if (text[at + 1] !== '*') return unquoted(text, at)
  let depth = 0
  for (let position = at; ;) {
    const delimiter = matchAt(commentDelimiter, text, position)
    if (!delimiter) return fault(at, at + 2, 'this comment is never closed', 'add a matching */')
    depth += delimiter[0] === '/*' ? 1 : -1
    position = delimiter.index + 2
    if (depth === 0) return position
    if (depth > maxDepth)
      return fault(delimiter.index, position, `comments are nested deeper than ${maxDepth}`, 'remove the inner comments')
  }
}

/** A path, a URL or another text in which a character stands that needs quotes. */
const unquoted = (text: string, at: number): Fault => {
  let start = at
  while (start > 0 && /[^\s"{};=()]/.test(text[start - 1] ?? '')) start--
  const end = at + Math.max(1, matchAt(unquotedHere, text, at)?.[0].length ?? 1)
  const word = text.slice(start, end)
  if (quoteLookalike.test(word)) return wrongQuotes(text, start)
  return inToken(fault(start, end, `a value with ${text[at]} in it needs quotes`, `write ${quoted(word)}`))
}

const scanHash = (text: string, at: number): Scanned => {
  const raw = scanRawString(text, at)
  if (raw !== undefined) return raw
  const known = matchAt(keyword, text, at)
  if (known) return at + known[0].length
  const word = text.slice(at, at + 1 + (matchAt(wordHere, text, at + 1)?.[0].length ?? 0))
  if (/^#\w/.test(word) && !/^[^\S\n]*$/.test(text.slice(text.lastIndexOf('\n', at) + 1, at))) {
    return inToken(
      fault(at, at + word.length, `there is no keyword ${word.slice(0, 20)}`, 'write #true or #false; a comment starts with //'),
    )
  }
  return inGap(fault(at, at + word.length, '# does not start a comment', 'a comment starts with //'), lineEndAfter(text, at))
}

const scanWord = (text: string, at: number): Scanned => {
  const word = matchAt(wordHere, text, at)?.[0]
  if (word === undefined) return fault(at, at + 1, `unexpected ${JSON.stringify(text[at])}`, 'remove it')
  const end = at + word.length
  if (quoteLookalike.test(word)) return wrongQuotes(text, at)
  if (word === 'r' && text[end] === '"') {
    return fault(at, end + 1, 'this is a raw string of KDL 1', 'write #"…"#, as in KDL 2')
  }
  // `r#"…"#` of KDL 1 is unambiguous.
  if (word === 'r' && matchAt(hashesAndQuote, text, end)) return end
  if (numberStart.test(word) && !numberWord.test(word)) return badNumber(text, at, word)
  return thenGap(text, end)
}

const lineEndAfter = (text: string, at: number): number => matchAt(newLine, text, at)?.index ?? text.length

const wrongQuotes = (text: string, at: number): Fault => {
  const rest = text.slice(at + 1, lineEndAfter(text, at))
  const close = rest.search(/['‘’“”`«»„]/)
  const inside = close === -1 ? undefined : rest.slice(0, close)
  const found = fault(
    at,
    at + 1 + (inside === undefined ? 0 : inside.length + 1),
    `${text[at]} does not start a string`,
    `a string stands between double quotes: ${quoted(inside ?? '…')}`,
  )
  return inside === undefined ? found : inToken(found)
}

const badNumber = (text: string, at: number, word: string): Fault => {
  if (word.endsWith(',') && numberWord.test(word.slice(0, -1))) return comma(at + word.length - 1)
  const whole = (matchAt(unquotedHere, text, at)?.[0] ?? word).replace(/=$/, '')
  return inToken(
    fault(at, at + whole.length, `${quoted(whole)} is not a number`, `a value with a unit or other letters needs quotes: ${quoted(whole)}`),
  )
}

const comma = (at: number): Fault => inGap(fault(at, at + 1, 'values are not separated by commas', 'use a space instead'))

/** A value must be followed by a blank, a line end or a bracket; `"a""b"` and `"a", "b"` are common slips. */
const thenGap = (text: string, end: Scanned): Scanned => {
  if (typeof end !== 'number') return end
  const next = text[end]
  if (next === ',') return comma(end)
  if (next === '"' || next === '#' || matchAt(wordHere, text, end)) {
    return inToken(fault(end, end + 1, 'a space is missing here', 'separate two values with a space'), end)
  }
  return text[end - 1] === ',' ? comma(end - 1) : end
}

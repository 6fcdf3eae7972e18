import {blankOnly, blanksAndLineEnds, newLine, newLineHere} from './characters.ts'
import {type Fault, fault} from './fault.ts'

/** The offset after the token, or what is wrong with it. */
export type Scanned = number | Fault

const stringStop = /["\\\n-\r\u0085\u2028\u2029]/g
const multilineStop = /"""|\\/g
const simpleEscape = /[nrt\\"bfs]/y
const unicodeEscape = /u\{([0-9a-fA-F]{1,5}|10[0-9a-fA-F]{4})\}/y
const rawOpen = /(#+)("""|")/y

/** Matches a sticky expression at an offset. */
export const matchAt = (expression: RegExp, text: string, at: number): RegExpExecArray | null => {
  expression.lastIndex = at
  return expression.exec(text)
}

/** Scans `"…"` or `"""…"""` from its opening quote. */
export const scanString = (text: string, at: number): Scanned =>
  text.startsWith('"""', at) ? scanMultiline(text, at) : scanQuoted(text, at)

const scanQuoted = (text: string, at: number): Scanned => {
  let position = at + 1
  for (;;) {
    const stop = matchAt(stringStop, text, position)
    if (stop?.[0] === '"') return stop.index + 1
    if (stop?.[0] !== '\\') {
      return fault(
        at,
        stop?.index ?? text.length,
        'this string is not closed on its line',
        'add the closing ", or write text of several lines between """ and """',
      )
    }
    const after = scanEscape(text, stop.index)
    if (typeof after !== 'number') return after
    position = after
  }
}

const scanEscape = (text: string, at: number): Scanned => {
  if (matchAt(simpleEscape, text, at + 1)) return at + 2
  const space = matchAt(blanksAndLineEnds, text, at + 1)
  if (space) return at + 1 + space[0].length
  const unicode = matchAt(unicodeEscape, text, at + 1)
  if (unicode?.[1]) {
    const isSurrogate = /^0?D[89A-F]..$/i.test(unicode[1])
    if (!isSurrogate) return at + 1 + unicode[0].length
  }
  const character = String.fromCodePoint(text.codePointAt(at + 1) ?? 32)
  if (character === 'u') {
    return fault(at, at + 2, 'this is not a Unicode escape', 'write the code point in hexadecimal, as in \\u{1F600}')
  }
  const hint = character === '/' ? 'a / needs no backslash' : `write \\\\ for a backslash, or a raw string: #"…"#`
  return fault(at, at + 1 + character.length, `unknown escape \\${character}`, hint)
}

const scanMultiline = (text: string, at: number): Scanned => {
  let position = at + 3
  for (;;) {
    const stop = matchAt(multilineStop, text, position)
    if (!stop) return neverClosed(at, at + 3, '"""')
    if (stop[0] === '"""') return checkIndent(text, at, at + 3, stop.index) ?? stop.index + 3
    const after = scanEscape(text, stop.index)
    if (typeof after !== 'number') return after
    position = after
  }
}

/** Scans `#"…"#` and `#"""…"""#` from the first `#`; undefined when it is neither. */
export const scanRawString = (text: string, at: number): Scanned | undefined => {
  const open = matchAt(rawOpen, text, at)
  if (!open?.[1] || !open[2]) return undefined
  const close = open[2] + open[1]
  const start = at + open[0].length
  const end = text.indexOf(close, start)
  if (end === -1) return neverClosed(at, start, close)
  if (open[2] === '"""') return checkIndent(text, at, start, end) ?? end + close.length
  if (text.slice(start, end).search(newLine) === -1) return end + close.length
  return fault(at, start, 'this raw string is not closed on its line', `add the closing ${close}, or write ${open[1]}""" for several lines`)
}

const neverClosed = (start: number, end: number, close: string): Fault =>
  fault(start, end, 'this string is never closed', `add the closing ${close}`)

/** KDL removes the indentation of the closing quotes from every line; a line without it is an error. */
const checkIndent = (text: string, at: number, start: number, end: number): Fault | undefined => {
  const first = matchAt(newLineHere, text, start)
  if (!first) return fault(at, start, 'the text must begin on the line after """', 'put """ at the end of the line, and the text below it')
  const lineStarts = [...text.slice(start, end).matchAll(new RegExp(newLine))].map((match) => start + match.index + match[0].length)
  const last = lineStarts.at(-1) ?? end
  const indent = text.slice(last, end)
  // An escaped line end joins lines, which only the parser knows how to undo.
  if (/\\\s/.test(text.slice(start, end))) return undefined
  if (!blankOnly.test(indent)) {
    return fault(end, end + 3, 'the closing """ must stand on a line of its own', 'put it on the next line')
  }
  for (const [index, lineStart] of lineStarts.slice(0, -1).entries()) {
    const line = text.slice(lineStart, lineStarts[index + 1]).replace(newLine, '')
    if (!blankOnly.test(line) && !line.startsWith(indent)) {
      return fault(
        lineStart,
        lineStart + Math.max(1, line.length),
        'this line is indented less than the closing """',
        'indent every line at least as much as the closing """, with the same tabs and spaces',
      )
    }
  }
  return undefined
}

import {ImportError} from '../../draft.ts'
import {closingOf, dedent, readQuoted} from './quoted.ts'
import {expectsValue, keywords, plainText, type TextPart, type Token, type TokenKind} from './tokens.ts'

const operators = [
  ...['**=', '<=>', '===', '...', '<<=', '>>=', '&&=', '||='],
  ...[
    '&.',
    '**',
    '==',
    '!=',
    '>=',
    '<=',
    '&&',
    '||',
    '=>',
    '=~',
    '!~',
    '..',
    '::',
    '+=',
    '-=',
    '*=',
    '/=',
    '%=',
    '|=',
    '&=',
    '<<',
    '>>',
    '->',
  ],
  ...Array.from('+-*/%=<>!&|^~?:,.()[]{}'),
]

interface State {
  readonly text: string
  readonly tokens: Token[]
  at: number
  line: number
  /** Where the next here-document of this line begins, and in which line; what stands there is no code. */
  documents: {at: number; line: number} | undefined
}

interface Found {
  readonly kind: TokenKind
  readonly text: string
  readonly parts?: readonly TextPart[]
  /** Behind its last character. */
  readonly to: number
}

/**
 * Splits Ruby into tokens (ruby-doc.org, "Literals", "Comments"): strings with the code in them, here-documents, `%` literals,
 * symbols, comments and `=begin`.
 * @param firstLine number of the first line
 * @throws ImportError with the line, for a text or here-document that never ends
 */
export const tokenize = (text: string, firstLine = 1): readonly Token[] => {
  const state: State = {text, tokens: [], at: 0, line: firstLine, documents: undefined}
  while (skipBlank(state)) {
    const {at, line} = state
    const found = [document, quoted, percent, number, symbol, word, variable, opaque].reduce<Found | undefined>(
      (earlier, read) => earlier ?? read(state),
      undefined,
    )
    add(state, found ?? operator(state), {at, line})
  }
  add(state, {kind: 'end', text: '', to: state.at}, state)
  return state.tokens
}

const add = (state: State, {kind, text, parts = [], to}: Found, {at, line}: {readonly at: number; readonly line: number}): void => {
  const raw = state.text.slice(at, to)
  const lastLine = line + raw.split('\n').length - 1
  state.tokens.push({
    kind,
    text,
    line,
    lastLine,
    spaceBefore: at === 0 || /\s/.test(state.text[at - 1] ?? ''),
    spaceAfter: /^\s|^$/.test(state.text.slice(to, to + 1)),
    parts,
  })
  state.at = to
  state.line = lastLine
}

const rest = ({text, at}: State): string => text.slice(at)

const match = (state: State, pattern: RegExp): RegExpExecArray | null => {
  const sticky = new RegExp(pattern.source, `${pattern.flags}y`)
  sticky.lastIndex = state.at
  return sticky.exec(state.text)
}

const last = ({tokens}: State): Token | undefined => tokens.at(-1)

/** Goes over blanks, comments and ends of lines, which become tokens. False at the end. */
const skipBlank = (state: State): boolean => {
  for (;;) {
    const isLineStart = state.at === 0 || state.text[state.at - 1] === '\n'
    if (isLineStart && match(state, /__END__(?:\r?\n|$)/)) return false
    const comment = isLineStart ? match(state, /=begin\b[^]*?(?:\n=end\b[^\n]*|$)/) : null
    const skipped = comment ?? match(state, /[^\S\n]+|\\\r?\n|#[^\n]*/)
    if (skipped) {
      state.at += skipped[0].length
      state.line += skipped[0].split('\n').length - 1
    } else if (state.text[state.at] === '\n') endLine(state)
    else if (state.text[state.at] === ';') add(state, {kind: 'newline', text: ';', to: state.at + 1}, state)
    else return state.at < state.text.length
  }
}

const endLine = (state: State): void => {
  // A line that begins with a dot goes on with the one before.
  const goesOn = /^\n(?:[^\S\n]*(?:#[^\n]*)?\n)*[^\S\n]*(?:\.(?!\.)|&\.)/.test(state.text.slice(state.at, state.at + 2000))
  const {documents} = state
  state.documents = undefined
  if (!goesOn) add(state, {kind: 'newline', text: '\n', to: state.at}, state)
  state.at = documents?.at ?? state.at + 1
  state.line = documents?.line ?? state.line + 1
}

/** Whether what comes can be the beginning of a value, although it has the looks of an operator. */
const canBeginValue = (state: State, length: number): boolean => {
  const before = last(state)
  if (expectsValue(before)) return true
  const isTight = !/\s/.test(state.text[state.at + length] ?? ' ')
  return before?.kind === 'name' && !keywords.has(before.text) && /\s/.test(state.text[state.at - 1] ?? '') && isTight
}

/** The rest of a line, without its end, and where the next one begins. */
const lineFrom = (text: string, at: number): {readonly line: string; readonly next: number} => {
  const end = text.indexOf('\n', at)
  const isLast = end < 0
  return {line: text.slice(at, isLast ? undefined : end).replace(/\r$/, ''), next: isLast ? text.length : end + 1}
}

const document = (state: State): Found | undefined => {
  const found = match(state, /<<([-~]?)(?:(["'`])([^"'`\n]+)\2|([A-Za-z_]\w*))/)
  if (!found || !canBeginValue(state, 2)) return undefined
  const [all, indent, quote, quotedName, name = quotedName ?? ''] = found
  const start = state.documents ?? {at: lineFrom(state.text, state.at).next, line: state.line + 1}
  const lines: string[] = []
  let {at} = start
  for (let isOver = false; !isOver;) {
    if (at >= state.text.length) throw new ImportError(`line ${state.line}: the here-document ${name} never ends`)
    const {line, next} = lineFrom(state.text, at)
    at = next
    isOver = (indent === '' ? line : line.trim()) === name
    if (!isOver) lines.push(line)
  }
  state.documents = {at, line: start.line + lines.length + 1}
  const body = (indent === '~' ? dedent(lines) : lines).map((line) => `${line}\n`).join('')
  const {parts} = readQuoted(body, {at: 0, line: start.line, close: undefined, isRaw: quote === "'"})
  return {kind: quote === '`' ? 'opaque' : 'text', text: '', parts, to: state.at + all.length}
}

/** Whether a colon stands there, which is not the beginning of `::`. */
const isColon = (text: string, at: number): boolean => text[at] === ':' && text[at + 1] !== ':'

const quoted = (state: State): Found | undefined => {
  const quote = state.text[state.at]
  if (quote !== '"' && quote !== "'" && quote !== '`') return undefined
  const {parts, to} = readQuoted(state.text, {at: state.at + 1, line: state.line, close: quote, isRaw: quote === "'"})
  if (quote === '`') return {kind: 'opaque', text: '', to}
  const plain = plainText(parts)
  const isLabel = plain !== undefined && isColon(state.text, to)
  return isLabel ? {kind: 'label', text: plain, to: to + 1} : {kind: 'text', text: '', parts, to}
}

const percent = (state: State): Found | undefined => {
  const found = match(state, /%([wWiIqQrxs]?)([^\w\s=])/) ?? (expectsValue(last(state)) ? match(state, /%([wWiIqQrxs]?)([^\w\s])/) : null)
  if (!found || !canBeginValue(state, 1)) return undefined
  const [all, type = '', open = ''] = found
  const close = closingOf(open)
  const isRaw = ['w', 'i', 'q', 's'].includes(type)
  const {parts, to} = readQuoted(state.text, {at: state.at + all.length, line: state.line, close, ...(close !== open && {open}), isRaw})
  switch (type) {
    case 'r':
    case 'x':
      // The letters behind a regular expression are its options.
      return {kind: 'opaque', text: '', to: type === 'r' ? behindLetters(state.text, to) : to}
    case 's':
      return {kind: 'symbol', text: plainText(parts) ?? '', to}
    case '':
    case 'q':
    case 'Q':
      return {kind: 'text', text: '', parts, to}
    default:
      return {kind: 'words', text: type, parts, to}
  }
}

const behindLetters = (text: string, at: number): number => at + (/^[a-z]*/.exec(text.slice(at, at + 10))?.[0].length ?? 0)

const number = (state: State): Found | undefined => {
  const found = match(state, /0[xX][\da-fA-F_]+|0[bB][01_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][-+]?\d+)?/)
  return found ? {kind: 'number', text: found[0].replaceAll('_', ''), to: state.at + found[0].length} : undefined
}

const symbol = (state: State): Found | undefined => {
  const plain = match(state, /:([A-Za-z_]\w*[?!=]?(?![\w>=~]))/) ?? match(state, /:([A-Za-z_]\w*)/)
  if (plain && state.text[state.at - 1] !== ':') return {kind: 'symbol', text: plain[1] ?? '', to: state.at + plain[0].length}
  const quote = match(state, /:(["'])/)?.[1]
  if (quote === undefined || !canBeginValue(state, 1)) return undefined
  const {parts, to} = readQuoted(state.text, {at: state.at + 2, line: state.line, close: quote, isRaw: quote === "'"})
  const text = plainText(parts)
  return {kind: text === undefined ? 'opaque' : 'symbol', text: text ?? '', to}
}

const word = (state: State): Found | undefined => {
  const found = match(state, /[\p{L}_][\p{L}\p{N}_]*(?:[?!](?![=~]|\w))?/u)
  if (!found) return undefined
  const [name] = found
  const to = state.at + name.length
  const before = last(state)
  const isBehindDot = before?.kind === 'operator' && ['.', '&.'].includes(before.text)
  if (state.text[to] === ':' && state.text[to + 1] !== ':' && !isBehindDot && before?.text !== '?')
    return {kind: 'label', text: name, to: to + 1}
  return {kind: /^\p{Lu}/u.test(name) ? 'constant' : 'name', text: name, to}
}

const variable = (state: State): Found | undefined => {
  const found = match(state, /@{1,2}[A-Za-z_]\w*|\$(?:[A-Za-z_]\w*|[!-/:-@\d])/)
  return found ? {kind: 'variable', text: found[0], to: state.at + found[0].length} : undefined
}

/** Regular expressions, and characters such as `?a`. */
const opaque = (state: State): Found | undefined => {
  if (!canBeginValue(state, 1)) return undefined
  const found = match(state, /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])*\/[a-z]*/) ?? match(state, /\?\S(?!\w)/)
  return found ? {kind: 'opaque', text: found[0], to: state.at + found[0].length} : undefined
}

const operator = (state: State): Found => {
  const found = operators.find((one) => state.text.startsWith(one, state.at))
  return {kind: 'operator', text: found ?? rest(state).slice(0, 1), to: state.at + (found?.length ?? 1)}
}

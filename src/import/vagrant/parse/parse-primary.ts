import type {Body, Branch, Choice, Definition, Expression} from './ast.ts'
import {type Cursor, deeper, isOperator, isWord, need, pass, peek, skipNewlines, SyntaxFailure, take, withDo, withoutDo} from './cursor.ts'
import type {Parsers} from './parsers.ts'
import {plainText, type TextPart, type Token} from './tokens.ts'

/**
 * A value that begins by itself: a literal, a name, something in brackets, or a form with `end`.
 * @throws SyntaxFailure
 */
export const parsePrimary = (cursor: Cursor, parsers: Parsers): Expression => {
  const token = take(cursor)
  const {kind, text, line} = token
  switch (kind) {
    case 'text':
      return parseText(cursor, token)
    case 'number':
      return {kind: 'value', value: /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text), line}
    case 'symbol':
      return {kind: 'value', value: Symbol.for(text), line}
    case 'words':
      return parseWords(token)
    case 'variable':
    case 'constant':
      return {kind: 'variable', name: text, line}
    case 'opaque':
      return {kind: 'opaque', names: [], code: text, line, lastLine: line}
    case 'operator':
      return parseBracket(cursor, token, parsers)
    case 'name':
      return parseWord(cursor, token, parsers)
    case 'label':
    case 'newline':
    case 'end':
      throw new SyntaxFailure(`line ${line}: a value is missing`)
  }
}

/** Texts that stand beside each other are one. */
const parseText = (cursor: Cursor, token: Token): Expression => {
  const parts: TextPart[] = [...token.parts]
  while (peek(cursor).kind === 'text') parts.push(...take(cursor).parts)
  return {
    kind: 'text',
    parts: parts.map((part): string | Expression =>
      typeof part === 'string' ? part : {kind: 'body', body: cursor.inner(cursor, part.code, part.line), line: part.line},
    ),
    line: token.line,
  }
}

const parseWords = ({parts, text, line}: Token): Expression => {
  const plain = plainText(parts)
  if (plain === undefined) return {kind: 'opaque', names: [], code: '', line, lastLine: line}
  const words = plain
    // A blank behind a backslash is part of the word.
    .split(/(?<!\\)\s+/)
    .map((word) => word.replaceAll(/\\(\s)/g, '$1'))
    .filter((word) => word !== '')
  const isSymbols = /i/i.test(text)
  return {kind: 'list', items: words.map((word) => ({kind: 'value', value: isSymbols ? Symbol.for(word) : word, line})), line}
}

const parseBracket = (cursor: Cursor, {text, line}: Token, parsers: Parsers): Expression => {
  if (text === '[') return {kind: 'list', items: parsers.elements(cursor, ']'), line}
  if (text === '{') {
    const pairs = parsers.elements(cursor, '}')
    const [hash] = pairs
    if (pairs.length > 1 || (hash && hash.kind !== 'hash')) throw new SyntaxFailure(`line ${line}: this is no hash`)
    return hash ?? {kind: 'hash', pairs: [], line}
  }
  if (text === '(') {
    const body = withDo(cursor, () => cursor.body(cursor, [')']))
    need(cursor, ')')
    return {kind: 'body', body, line}
  }
  if (text === '::') return parsePrimary(cursor, parsers)
  throw new SyntaxFailure(`line ${line}: ${text} is not expected here`)
}

const parseWord = (cursor: Cursor, token: Token, parsers: Parsers): Expression => {
  const {text, line} = token
  switch (text) {
    case 'nil':
      return {kind: 'value', value: null, line}
    case 'true':
    case 'false':
      return {kind: 'value', value: text === 'true', line}
    case 'if':
    case 'unless':
      return deeper(cursor, () => parseIf(cursor, token, parsers))
    case 'case':
      return deeper(cursor, () => parseCase(cursor, line, parsers))
    case 'begin':
      return deeper(cursor, () => parseBegin(cursor, line))
    case 'def':
      return deeper(cursor, () => parseDefinition(cursor, line))
    case 'for':
      return deeper(cursor, () => parseFor(cursor, line, parsers))
    case 'next':
    case 'break':
    case 'return': {
      const next = peek(cursor)
      const isAlone = ['newline', 'end'].includes(next.kind) || isWord(next, 'if', 'unless', 'end') || isOperator(next, '}', ')')
      return {kind: 'jump', word: text, value: isAlone ? undefined : parsers.expression(cursor), line}
    }
    case 'defined?':
      parsers.expression(cursor)
      return {kind: 'opaque', names: [], code: text, line, lastLine: line}
    default:
      if (!cursor.locals.has(text)) throw new SyntaxFailure(`line ${line}: ${text} is not understood`)
      return {kind: 'name', name: text, line}
  }
}

const emptyBody = (line: number): Body => ({statements: [], line, lastLine: line})

const parseIf = (cursor: Cursor, {text, line}: Token, parsers: Parsers): Branch => {
  const test = withoutDo(cursor, () => parsers.statement(cursor))
  pass(cursor, 'then')
  const body = withDo(cursor, () => cursor.body(cursor, ['elsif', 'else', 'end']))
  const next = peek(cursor)
  let other = emptyBody(next.line)
  if (pass(cursor, 'elsif')) {
    const nested = parseIf(cursor, next, parsers)
    other = {statements: [nested], line: next.line, lastLine: cursor.tokens[cursor.at - 1]?.line ?? next.line}
  } else {
    if (pass(cursor, 'else')) other = withDo(cursor, () => cursor.body(cursor, ['end']))
    need(cursor, 'end')
  }
  return text === 'unless' ? {kind: 'branch', test, yes: other, no: body, line} : {kind: 'branch', test, yes: body, no: other, line}
}

const parseCase = (cursor: Cursor, line: number, parsers: Parsers): Choice => {
  const subject = peek(cursor).kind === 'newline' ? undefined : parsers.statement(cursor)
  skipNewlines(cursor)
  const cases: {tests: readonly Expression[]; body: Body}[] = []
  while (pass(cursor, 'when')) {
    const tests = withoutDo(cursor, () => parsers.elements(cursor, undefined))
    pass(cursor, 'then')
    cases.push({tests, body: withDo(cursor, () => cursor.body(cursor, ['when', 'else', 'end']))})
  }
  const otherwise = pass(cursor, 'else') ? withDo(cursor, () => cursor.body(cursor, ['end'])) : emptyBody(peek(cursor).line)
  need(cursor, 'end')
  return {kind: 'choice', subject, cases, otherwise, line}
}

/** What `rescue` would do is for a failure, of which there is none here. */
const parseBegin = (cursor: Cursor, line: number): Expression => {
  const parts = ['rescue', 'else', 'ensure', 'end']
  const body = withDo(cursor, () => cursor.body(cursor, parts))
  const statements = [...body.statements]
  while (!pass(cursor, 'end')) {
    const {kind, text: word} = take(cursor)
    if (kind === 'end') throw new SyntaxFailure(`line ${line}: a begin never ends`)
    const part = withDo(cursor, () => cursor.body(cursor, parts))
    if (word !== 'rescue') statements.push(...part.statements)
  }
  return {kind: 'body', body: {...body, statements}, line}
}

const parseDefinition = (cursor: Cursor, line: number): Definition => {
  const name = take(cursor)
  if (name.kind !== 'name') throw new SyntaxFailure(`line ${line}: this definition is not understood`)
  const hasParens = pass(cursor, '(')
  const isOver = (token: Token): boolean => token.kind === 'end' || (hasParens ? isOperator(token, ')') : token.kind === 'newline')
  let params: string[] | undefined = []
  for (let token = take(cursor); !isOver(token); token = take(cursor)) {
    if (token.kind === 'name') {
      cursor.locals.add(token.text)
      params?.push(token.text)
    } else if (!isOperator(token, ',')) params = undefined
  }
  const body = withDo(cursor, () => cursor.body(cursor, ['end']))
  need(cursor, 'end')
  return {kind: 'definition', name: name.text, params, body, line}
}

/** `for a in list` is `list.each do |a|`. */
const parseFor = (cursor: Cursor, line: number, parsers: Parsers): Expression => {
  const params: string[] = []
  while (!pass(cursor, 'in')) {
    const token = take(cursor)
    if (token.kind !== 'name' && !isOperator(token, ',')) throw new SyntaxFailure(`line ${line}: this loop is not understood`)
    if (token.kind === 'name') params.push(token.text)
  }
  for (const name of params) cursor.locals.add(name)
  const receiver = withoutDo(cursor, () => parsers.expression(cursor))
  pass(cursor, 'do')
  const body = withDo(cursor, () => cursor.body(cursor, ['end']))
  need(cursor, 'end')
  return {kind: 'call', receiver, name: 'each', args: [], block: {params, body}, line}
}

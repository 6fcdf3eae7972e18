import type {Body, Expression} from './ast.ts'
import {type Cursor, deeper, isWord, lineBefore, peek, SyntaxFailure, take} from './cursor.ts'
import {parseStatementExpression} from './parse-expression.ts'
import {tokenize} from './tokenize.ts'
import type {Token} from './tokens.ts'

/**
 * Parses Ruby as far as people write it in a Vagrantfile. A statement that is not understood becomes an `opaque` one, up to its
 * end with everything in it, so that nothing of it is taken for something else.
 * @throws ImportError for a text that never ends, and for code that is nested too deeply
 */
export const parseRuby = (text: string): Body => {
  const cursor: Cursor = {tokens: tokenize(text), at: 0, locals: new Set(), leavesDo: false, depth: 0, body: parseBody, inner: parseInner}
  const statements: Expression[] = []
  while (peek(cursor).kind !== 'end') {
    statements.push(...parseBody(cursor, []).statements)
    // A word that closes nothing.
    if (peek(cursor).kind !== 'end') statements.push(opaque(cursor, cursor.at, cursor.at + 1))
  }
  return {statements, line: 1, lastLine: lineBefore(cursor)}
}

const parseInner = (outer: Cursor, code: string, line: number): Body =>
  deeper(outer, () => parseBody({...outer, tokens: tokenize(code, line), at: 0, leavesDo: false}, []))

const closes = (token: Token, until: readonly string[]): boolean =>
  token.kind === 'end' || ((token.kind === 'name' || token.kind === 'operator') && until.includes(token.text))

const closers: ReadonlySet<string> = new Set(['end', 'else', 'elsif', 'when', 'rescue', 'ensure', '}', ')', ']'])

const parseBody = (cursor: Cursor, until: readonly string[]): Body => {
  const statements: Expression[] = []
  const {line} = peek(cursor)
  for (;;) {
    while (peek(cursor).kind === 'newline') cursor.at += 1
    const token = peek(cursor)
    if (closes(token, until)) return {statements, line, lastLine: Math.max(line, lineBefore(cursor))}
    if (closers.has(token.text) && (token.kind === 'operator' || token.kind === 'name')) {
      if (until.length > 0) throw new SyntaxFailure(`line ${token.line}: ${token.text} is not expected here`)
      return {statements, line, lastLine: lineBefore(cursor)}
    }
    statements.push(parseOrSkip(cursor, until))
  }
}

const parseOrSkip = (cursor: Cursor, until: readonly string[]): Expression => {
  const {at, depth, leavesDo} = cursor
  try {
    return deeper(cursor, () => parseStatement(cursor, until))
  } catch (error) {
    if (!(error instanceof SyntaxFailure)) throw error
    Object.assign(cursor, {depth, leavesDo})
    return opaque(cursor, at, endOfStatement(cursor.tokens, at))
  }
}

const parseStatement = (cursor: Cursor, until: readonly string[]): Expression => {
  let statement = parseStatementExpression(cursor)
  while (isWord(peek(cursor), 'if', 'unless')) {
    const {text, line} = take(cursor)
    const test = parseStatementExpression(cursor)
    const body = {statements: [statement], line: statement.line, lastLine: line}
    const empty = {statements: [], line, lastLine: line}
    const [yes, no] = text === 'if' ? [body, empty] : [empty, body]
    statement = {kind: 'branch', test, yes, no, line}
  }
  const next = peek(cursor)
  if (next.kind !== 'newline' && !closes(next, until)) throw new SyntaxFailure(`line ${next.line}: ${next.text} is not expected here`)
  return statement
}

/** A statement that is given up, with the names that are assigned in it. */
const opaque = (cursor: Cursor, from: number, to: number): Expression => {
  const tokens = cursor.tokens.slice(from, to)
  cursor.at = Math.max(to, from + 1)
  const names = tokens.filter(({kind}) => ['name', 'variable', 'constant'].includes(kind)).map(({text}) => text)
  return {
    kind: 'opaque',
    names,
    code: tokens.map(({text}) => text).join(' '),
    line: tokens[0]?.line ?? 1,
    lastLine: tokens.at(-1)?.lastLine ?? 1,
  }
}

const openers: ReadonlySet<string> = new Set(['do', 'def', 'class', 'module', 'begin', 'case', 'if', 'unless', 'while', 'until', 'for'])

const loops: ReadonlySet<string> = new Set(['while', 'until', 'for'])
const modifiers: ReadonlySet<string> = new Set(['if', 'unless', 'while', 'until'])

interface Balance {
  depth: number
  /** Loops whose `do` is still to come. */
  loops: number
}

/** Behind the line that is balanced: brackets, and words that `end` closes. */
const endOfStatement = (tokens: readonly Token[], from: number): number => {
  const balance: Balance = {depth: 0, loops: 0}
  for (let at = from; at < tokens.length; at++) {
    const token = tokens[at]
    if (!token || token.kind === 'end') return at
    if (token.kind === 'newline') {
      if (balance.depth <= 0) return at
      balance.loops = 0
    } else if (token.kind === 'operator') balance.depth += depthOf(token.text)
    else if (token.kind === 'name') countWord(balance, token.text, at === from ? undefined : tokens[at - 1])
    if (balance.depth < 0) return at
  }
  return tokens.length
}

const depthOf = (bracket: string): number => ('([{'.includes(bracket) ? 1 : ')]}'.includes(bracket) ? -1 : 0)

const isDot = (token: Token | undefined): boolean => token?.kind === 'operator' && ['.', '&.'].includes(token.text)

/** @param before the token before it; undefined at the beginning */
const countWord = (balance: Balance, word: string, before: Token | undefined): void => {
  if (isDot(before)) return
  const isStart = before === undefined || before.kind === 'newline' || before.text === '='
  if (word === 'end') balance.depth -= 1
  else if (word === 'do' && balance.loops > 0) balance.loops -= 1
  else if (openers.has(word) && (isStart || !modifiers.has(word))) {
    balance.depth += 1
    if (loops.has(word)) balance.loops += 1
  }
}

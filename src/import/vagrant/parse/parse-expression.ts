import type {Expression} from './ast.ts'
import {type Cursor, deeper, isOperator, isWord, need, pass, peek, skipNewlines, take, withDo} from './cursor.ts'
import {parsePostfix} from './parse-postfix.ts'

/** Operators between two values, loosest first. */
const levels: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['<=>', '==', '===', '!=', '=~', '!~'],
  ['<', '<=', '>', '>='],
  ['|', '^'],
  ['&'],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
  ['**'],
]

const assigning = ['=', '+=', '-=', '*=', '/=', '%=', '||=', '&&=', '<<=', '|=', '&=']

/**
 * `not`, `and`, `or` and all that binds tighter.
 * @throws SyntaxFailure
 */
export const parseStatementExpression = (cursor: Cursor): Expression => {
  let left = parseNot(cursor)
  while (isWord(peek(cursor), 'and', 'or')) {
    const {text, line} = take(cursor)
    skipNewlines(cursor)
    left = {kind: 'operation', operator: text === 'and' ? '&&' : '||', left, right: parseNot(cursor), line}
  }
  return left
}

const parseNot = (cursor: Cursor): Expression => {
  const {line} = peek(cursor)
  return pass(cursor, 'not') ? {kind: 'not', value: parseNot(cursor), line} : parseExpression(cursor)
}

/**
 * An assignment, a choice by `? :`, a range, or an operation.
 * @throws SyntaxFailure
 */
export const parseExpression = (cursor: Cursor): Expression =>
  deeper(cursor, () => {
    const left = parseRange(cursor)
    const token = peek(cursor)
    if (isOperator(token, '?')) return parseTernary(cursor, left)
    if (!isOperator(token, ...assigning) || !['name', 'variable', 'index', 'call'].includes(left.kind)) return left
    cursor.at += 1
    skipNewlines(cursor)
    if (left.kind === 'name') cursor.locals.add(left.name)
    return {kind: 'assignment', target: left, operator: token.text, value: parseExpression(cursor), line: token.line}
  })

const parseTernary = (cursor: Cursor, test: Expression): Expression => {
  const {line} = take(cursor)
  const side = (): {statements: Expression[]; line: number; lastLine: number} => {
    skipNewlines(cursor)
    const value = parseExpression(cursor)
    return {statements: [value], line: value.line, lastLine: value.line}
  }
  const yes = side()
  skipNewlines(cursor)
  // `a ? b :c` makes a symbol of what follows.
  if (peek(cursor).kind === 'symbol') {
    const {text, line: at} = take(cursor)
    const name: Expression = {kind: 'name', name: text, line: at}
    return {kind: 'branch', test, yes, no: {statements: [name], line: at, lastLine: at}, line}
  }
  need(cursor, ':')
  return {kind: 'branch', test, yes, no: side(), line}
}

const parseRange = (cursor: Cursor): Expression => {
  const from = parseBinary(cursor, 0)
  const {text, line} = peek(cursor)
  if (!isOperator(peek(cursor), '..', '...')) return from
  cursor.at += 1
  return {kind: 'range', from, to: parseBinary(cursor, 0), isOpen: text === '...', line}
}

const parseBinary = (cursor: Cursor, level: number): Expression => {
  const operators = levels[level]
  if (!operators) return parseUnary(cursor)
  let left = parseBinary(cursor, level + 1)
  while (isOperator(peek(cursor), ...operators)) {
    const {text, line} = take(cursor)
    skipNewlines(cursor)
    left = {kind: 'operation', operator: text, left, right: parseBinary(cursor, level + 1), line}
  }
  return left
}

const parseUnary = (cursor: Cursor): Expression => {
  const {line} = peek(cursor)
  if (pass(cursor, '!')) return deeper(cursor, () => ({kind: 'not', value: parseUnary(cursor), line}))
  if (!pass(cursor, '-')) return parsePostfix(cursor, parsers)
  const zero: Expression = {kind: 'value', value: 0, line}
  return deeper(cursor, () => ({kind: 'operation', operator: '-', left: zero, right: parseUnary(cursor), line}))
}

/** An argument or an element: also `*list`, `**hash` and `&block`. */
const parseElement = (cursor: Cursor): Expression => {
  const token = peek(cursor)
  if (!isOperator(token, '*', '**', '&')) return parseExpression(cursor)
  cursor.at += 1
  if (token.text === '&') return {kind: 'opaque', names: [], code: '&', line: token.line, lastLine: token.line, ...skip(cursor)}
  return {kind: 'splat', value: parseExpression(cursor), line: token.line}
}

const skip = (cursor: Cursor): object => {
  parseExpression(cursor)
  return {}
}

/**
 * Elements with commas between them, up to a closing bracket, or to the end of a command. Pairs (`a: 1`, `:a => 1`) become one
 * hash at the end.
 * @throws SyntaxFailure
 */
const parseElements = (cursor: Cursor, close: string | undefined): readonly Expression[] => {
  const items: Expression[] = []
  const pairs: [Expression, Expression | undefined][] = []
  const {line} = peek(cursor)
  const read = (): void => {
    while (close === undefined || !isOperator(peek(cursor), close)) {
      parseOne(cursor, items, pairs)
      if (close !== undefined) skipNewlines(cursor)
      if (!pass(cursor, ',')) break
      skipNewlines(cursor)
    }
    if (close !== undefined) need(cursor, close)
  }
  if (close === undefined) read()
  else {
    withDo(cursor, () => {
      skipNewlines(cursor)
      read()
    })
  }
  return pairs.length > 0 ? [...items, {kind: 'hash', pairs, line}] : items
}

const parseOne = (cursor: Cursor, items: Expression[], pairs: [Expression, Expression | undefined][]): void => {
  const token = peek(cursor)
  if (token.kind === 'label') {
    cursor.at += 1
    skipNewlines(cursor)
    const key: Expression = {kind: 'value', value: Symbol.for(token.text), line: token.line}
    // `a:` alone is short for `a: a`.
    const isShort = isOperator(peek(cursor), ',', ')', '}')
    pairs.push([key, isShort ? {kind: 'name', name: token.text, line: token.line} : parseExpression(cursor)])
    return
  }
  const isHashSplat = isOperator(token, '**')
  const value = parseElement(cursor)
  if (isHashSplat && value.kind === 'splat') pairs.push([value.value, undefined])
  else if (pass(cursor, '=>')) {
    skipNewlines(cursor)
    pairs.push([value, parseExpression(cursor)])
  } else items.push(value)
}

const parsers = {expression: parseExpression, statement: parseStatementExpression, elements: parseElements}

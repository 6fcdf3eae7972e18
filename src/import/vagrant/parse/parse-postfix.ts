import type {Parsers} from './parsers.ts'
import type {Block, Expression, Param} from './ast.ts'
import {type Cursor, deeper, isOperator, isWord, need, pass, peek, skipNewlines, SyntaxFailure, take, withDo, withoutDo} from './cursor.ts'
import {parsePrimary} from './parse-primary.ts'
import {keywords, type Token} from './tokens.ts'

/**
 * A value with what hangs on it: `.method`, arguments, `[index]`, `::Constant`, and blocks.
 * @throws SyntaxFailure
 */
export const parsePostfix = (cursor: Cursor, parsers: Parsers): Expression => {
  const first = peek(cursor)
  let value = isCallName(first, cursor) ? parseCall(cursor, undefined, parsers) : parsePrimary(cursor, parsers)
  for (;;) {
    const token = peek(cursor)
    if (isOperator(token, '.', '&.')) {
      cursor.at += 1
      skipNewlines(cursor)
      value = parseCall(cursor, value, parsers)
    } else if (isOperator(token, '::')) {
      cursor.at += 1
      value = parseScoped(cursor, value, parsers)
    } else if (isOperator(token, '[') && !token.spaceBefore) {
      const {line} = take(cursor)
      value = {kind: 'index', receiver: value, args: parsers.elements(cursor, ']'), line}
    } else return value
  }
}

const isCallName = ({kind, text}: Token, {locals}: Cursor): boolean => kind === 'name' && !keywords.has(text) && !locals.has(text)

const parseScoped = (cursor: Cursor, receiver: Expression, parsers: Parsers): Expression => {
  const {kind, text, line} = peek(cursor)
  const isConstant = kind === 'constant' && !isOperator(peek(cursor, 1), '(')
  if (!isConstant || receiver.kind !== 'variable') return parseCall(cursor, receiver, parsers)
  cursor.at += 1
  return {kind: 'variable', name: `${receiver.name}::${text}`, line}
}

const parseCall = (cursor: Cursor, receiver: Expression | undefined, parsers: Parsers): Expression => {
  const name = take(cursor)
  // `a.()` and operators as methods are not understood; a label is one when a colon follows, as in `a ? b.c: d`.
  if (name.kind !== 'name' && name.kind !== 'constant') throw new SyntaxFailure(`line ${name.line}: a name is missing`)
  const {line} = name
  let args: readonly Expression[] = []
  const next = peek(cursor)
  const hasParens = isOperator(next, '(') && !next.spaceBefore
  const isCommand = !hasParens && beginsArgument(next, name)
  if (hasParens) {
    cursor.at += 1
    args = parsers.elements(cursor, ')')
  } else if (isCommand) args = withoutDo(cursor, () => parsers.elements(cursor, undefined))
  const block = parseBlock(cursor, !isCommand)
  const isPlain = receiver === undefined && !hasParens && !isCommand && !block
  return isPlain ? {kind: 'name', name: name.text, line} : {kind: 'call', receiver, name: name.text, args, block, line}
}

/** Whether a token behind a name, without parentheses, is the first argument of a command. */
const beginsArgument = (token: Token, name: Token): boolean => {
  if (!token.spaceBefore || token.line !== name.line) return false
  if (token.kind === 'name')
    return !keywords.has(token.text) || ['nil', 'true', 'false', 'self', 'not', 'defined?', 'case'].includes(token.text)
  if (token.kind === 'operator') {
    if (['[', '->', '!', '(', '::'].includes(token.text)) return token.text !== '[' || token.spaceBefore
    return ['-', '*', '&', '**'].includes(token.text) && !token.spaceAfter
  }
  return token.kind !== 'newline' && token.kind !== 'end'
}

/** `{ |a| … }` or `do |a| … end`; braces behind the arguments of a command are a hash. */
const parseBlock = (cursor: Cursor, mayBeBraces: boolean): Block | undefined => {
  const token = peek(cursor)
  const isBraces = mayBeBraces && isOperator(token, '{')
  const isDo = isWord(token, 'do') && !cursor.leavesDo
  if (!isBraces && !isDo) return undefined
  cursor.at += 1
  const close = isBraces ? '}' : 'end'
  return deeper(cursor, () =>
    withDo(cursor, () => {
      skipNewlines(cursor)
      const params = pass(cursor, '|') ? parseParams(cursor, '|') : []
      const body = cursor.body(cursor, isBraces ? ['}'] : ['end', 'rescue', 'ensure'])
      while (!isBraces && isWord(peek(cursor), 'rescue', 'ensure')) {
        cursor.at += 1
        cursor.body(cursor, ['end', 'rescue', 'ensure'])
      }
      need(cursor, close)
      return {params, body}
    }),
  )
}

/** The names of a block: `a, (b, c), *d`. */
const parseParams = (cursor: Cursor, close: string): readonly Param[] => {
  const params: Param[] = []
  while (!pass(cursor, close)) {
    const token = take(cursor)
    if (token.kind === 'name') {
      cursor.locals.add(token.text)
      params.push(token.text)
    } else if (isOperator(token, '(')) params.push(parseParams(cursor, ')'))
    else if (!isOperator(token, ',')) throw new SyntaxFailure(`line ${token.line}: these parameters are not understood`)
  }
  return params
}

import {ImportError} from '../../draft.ts'
import type {Body} from './ast.ts'
import type {Token} from './tokens.ts'

/** A place in the tokens, and what the parser knows there. */
export interface Cursor {
  readonly tokens: readonly Token[]
  at: number
  /** Names that are local variables. */
  readonly locals: Set<string>
  /** Whether `do` belongs to something further outside: the arguments of a command, the test of a loop. */
  leavesDo: boolean
  depth: number
  /** Reads statements up to one of these words, which is left where it is. */
  readonly body: (cursor: Cursor, until: readonly string[]) => Body
  /** Reads the code of a `#{…}`. */
  readonly inner: (cursor: Cursor, code: string, line: number) => Body
}

/** Why code cannot be understood; the statement is given up, and the file goes on behind it. */
export class SyntaxFailure extends Error {}

const nothing: Token = {kind: 'end', text: '', line: 0, lastLine: 0, spaceBefore: true, spaceAfter: true, parts: []}

export const peek = ({tokens, at}: Cursor, ahead = 0): Token => tokens[at + ahead] ?? tokens.at(-1) ?? nothing

/** The token, which is passed. */
export const take = (cursor: Cursor): Token => {
  const token = peek(cursor)
  cursor.at += 1
  return token
}

export const isOperator = (token: Token, ...texts: readonly string[]): boolean => token.kind === 'operator' && texts.includes(token.text)

export const isWord = (token: Token, ...texts: readonly string[]): boolean => token.kind === 'name' && texts.includes(token.text)

/** Passes an operator or a word when it comes. */
export const pass = (cursor: Cursor, text: string): boolean => {
  const token = peek(cursor)
  const isIt = (token.kind === 'operator' || token.kind === 'name') && token.text === text
  if (isIt) cursor.at += 1
  return isIt
}

/** @throws SyntaxFailure when something else comes */
export const need = (cursor: Cursor, text: string): void => {
  if (!pass(cursor, text)) throw new SyntaxFailure(`line ${peek(cursor).line}: ${text} is missing`)
}

export const skipNewlines = (cursor: Cursor): void => {
  while (peek(cursor).kind === 'newline') cursor.at += 1
}

/** The line in which the code before this place ends. */
export const lineBefore = (cursor: Cursor): number => cursor.tokens[cursor.at - 1]?.lastLine ?? 1

/** Reads something where a `do` belongs to it, as within brackets. */
export const withDo = <T>(cursor: Cursor, read: () => T): T => inState(cursor, false, read)

export const withoutDo = <T>(cursor: Cursor, read: () => T): T => inState(cursor, true, read)

const inState = <T>(cursor: Cursor, leavesDo: boolean, read: () => T): T => {
  const before = cursor.leavesDo
  cursor.leavesDo = leavesDo
  try {
    return read()
  } finally {
    cursor.leavesDo = before
  }
}

/** @throws ImportError for code that is nested so deeply that nobody has written it */
export const deeper = <T>(cursor: Cursor, read: () => T): T => {
  if (cursor.depth > 100) throw new ImportError(`line ${peek(cursor).line}: this is nested too deeply`)
  cursor.depth += 1
  try {
    return read()
  } finally {
    cursor.depth -= 1
  }
}

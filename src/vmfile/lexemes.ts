import type {Token} from 'kdljs/src/parser/kdl.js'

import type {Span} from './report.ts'

/** `bare` and `string` can be names; `end` is a line end or a semicolon. */
export type LexemeKind = 'bare' | 'string' | 'number' | 'keyword' | '{' | '}' | '(' | ')' | '=' | '/-' | 'end'

/** A token that matters, with its place; a string is one lexeme though it is many tokens. */
export interface Lexeme extends Span {
  readonly kind: LexemeKind
  readonly tokens: readonly Token[]
}

const kinds: Readonly<Record<string, LexemeKind>> = {
  Identifier: 'bare',
  RawString: 'string',
  MultiLineRawString: 'string',
  OpenQuote: 'string',
  MultiLineOpenQuote: 'string',
  Integer: 'number',
  Float: 'number',
  Boolean: 'keyword',
  Null: 'keyword',
  FloatKeyword: 'keyword',
  LeftBrace: '{',
  RightBrace: '}',
  LeftParenthesis: '(',
  RightParenthesis: ')',
  Equals: '=',
  BlockComment: '/-',
  NewLine: 'end',
  SemiColon: 'end',
}

const closers: Readonly<Record<string, string>> = {OpenQuote: 'CloseQuote', MultiLineOpenQuote: 'MultiLineCloseQuote'}

/** Groups the tokens of kdljs, without blanks, comments and continued line ends. */
export const groupTokens = (tokens: readonly Token[]): readonly Lexeme[] => {
  const lexemes: Lexeme[] = []
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index]
    if (!token) break
    if (token.tokenType.name === 'EscLine') {
      while (index < tokens.length && tokens[index]?.tokenType.name !== 'NewLine') index++
      continue
    }
    const kind = kinds[token.tokenType.name]
    if (!kind) continue
    const first = index
    const closer = closers[token.tokenType.name]
    if (closer) while (index + 1 < tokens.length && tokens[++index]?.tokenType.name !== closer);
    const last = tokens[index] ?? token
    lexemes.push({kind, start: token.startOffset, end: last.endOffset + 1, tokens: tokens.slice(first, index + 1)})
  }
  return lexemes
}

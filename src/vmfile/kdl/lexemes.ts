import type {Span} from './report.ts'

/** `bare` and `string` can be names; `end` is a line end or a semicolon. Blanks, comments and continued line ends are none. */
export type LexemeKind = 'bare' | 'string' | 'number' | 'keyword' | '{' | '}' | '(' | ')' | '=' | '/-' | 'end'

/** A part of the text that has a meaning, with its place. */
export interface Lexeme extends Span {
  readonly kind: LexemeKind
}

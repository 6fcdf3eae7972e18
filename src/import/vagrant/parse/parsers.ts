import type {Cursor} from './cursor.ts'
import type {Expression} from './ast.ts'

/** The readers of whole expressions, which stand further outside. */
export interface Parsers {
  readonly expression: (cursor: Cursor) => Expression
  readonly statement: (cursor: Cursor) => Expression
  readonly elements: (cursor: Cursor, close: string | undefined) => readonly Expression[]
}

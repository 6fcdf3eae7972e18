import type {LexemeKind} from './lexemes.ts'
import type {Span} from './report.ts'

/** Why a text is not KDL: the place, a sentence and what to do about it. */
export interface Fault extends Span {
  readonly message: string
  readonly hint: string
  /** Where reading can go on, beyond the start of the token, and what the token was meant to be; absent when all that follows is in doubt. */
  readonly resume?: {readonly at: number; readonly kind?: LexemeKind}
}

export const fault = (start: number, end: number, message: string, hint: string): Fault => ({start, end, message, hint})

import type {Span} from './report.ts'

/** Why a text is not KDL: the place, a sentence and what to do about it. */
export interface Fault extends Span {
  readonly message: string
  readonly hint: string
}

export const fault = (start: number, end: number, message: string, hint: string): Fault => ({start, end, message, hint})

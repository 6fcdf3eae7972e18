import type {Span} from './report.ts'

/** What KDL knows as a value. */
export type Scalar = string | number | boolean | null

export interface Value extends Span {
  readonly value: Scalar
  /** `(u8)` before the value; a VMFile has no use for it. */
  readonly annotation?: Span
}

/** A node of the document with the place of every part. */
export interface KdlNode {
  readonly name: string
  /** The place of the name, or of the key when the node was written as a property. */
  readonly span: Span
  readonly annotation?: Span
  readonly args: readonly Value[]
  readonly properties: readonly Property[]
  /** Absent when the node has no block, which is not the same as an empty one. */
  readonly children?: readonly KdlNode[]
}

export interface Property {
  readonly key: string
  readonly span: Span
  /** Absent when the same key comes again later, because KDL keeps the last value only. */
  readonly value?: Value
}

import type {Span} from '../kdl/report.ts'
import type {Scalar} from '../kdl/tree.ts'

/** A value that was read, with its place (that of the node when it is a default). */
export interface Located<T> extends Span {
  readonly value: T
  /** Whether the file does not say it. */
  readonly isDefault?: true
}

/** Says why a value is not acceptable. Returns undefined so that a reader can `return fail(…)`. */
export type Fail = (message: string, hint?: string) => undefined

/** What one value may be: its name and rule for the reference, and the function that reads it. */
export interface Kind<T> {
  readonly type: string
  /** In words, for the reference: `1 to 1024`, `at least 64 MB`. */
  readonly rule?: string
  /** The words that are possible, when they are few. */
  readonly words?: readonly string[]
  readonly example: string
  read(value: Scalar, fail: Fail): T | undefined
}

interface Described {
  /** One line for the reference. */
  readonly doc: string
  /** What people write by mistake, besides typing errors. */
  readonly synonyms?: readonly string[]
}

/** One value: `vcpus 2`, or `vcpus=2` on the node that holds it. */
export interface Field<T, Presence extends 'optional' | 'present' = 'optional' | 'present'> extends Described {
  readonly shape: 'field'
  readonly kind: Kind<T>
  readonly default?: T
  readonly required?: boolean
  /** Never set: tells the compiler whether a reader always gets a value. */
  readonly presence?: Presence
}

/** Several values: as arguments of one node, as repeated nodes, or both. */
export interface List<T> extends Described {
  readonly shape: 'list'
  readonly kind: Kind<T>
}

/** Commands: each node is one, and its arguments are the words. */
export interface Rows<T> extends Described {
  readonly shape: 'rows'
  readonly kind: Kind<T>
  /** Whether there can be several. */
  readonly repeatable?: boolean
}

/** Names that the user chooses, each with a value: `env LANG="C"` or `env { LANG "C" }`. */
export interface Pairs<T> extends Described {
  readonly shape: 'pairs'
  readonly kind: Kind<T>
  readonly isKey: (key: string) => boolean
  readonly keyRule: string
  /** Properties that may stand in for the value of a name, in the block: `env { LANG from="…" }`. */
  readonly instead?: Readonly<Record<string, Kind<T>>>
}

/** The fields of a block by name. */
export interface Fields {
  readonly [name: string]: Shape
}

interface Node extends Described {
  readonly repeatable?: boolean
}

/** A node with fields, and perhaps an argument: `image "a.qcow2" format="raw"`, `ssh { user "a" }`. */
export interface Block<A = unknown, F extends Fields = Fields> extends Node {
  readonly shape: 'block'
  readonly argument?: Field<A>
  /** Fields that can also be written as arguments, in this order, after `argument`. A list takes all that are left. */
  readonly positional?: readonly (keyof F & string)[]
  /** Fields of which one can be given. */
  readonly exclusive?: readonly (keyof F & string)[]
  readonly fields: F
  /** `{ }` must be written, even when empty; `fields` when properties will do instead. */
  readonly body?: 'block' | 'fields'
}

/** A node whose argument decides which fields it has: `network "tap" { bridge "br0" }`. */
export interface Choice<V extends Readonly<Record<string, Fields>> = Readonly<Record<string, Fields>>> extends Node {
  readonly shape: 'choice'
  /** What the argument is called in messages: `network type`. */
  readonly noun: string
  readonly default: keyof V & string
  /** Plugins may bring more variants, whose fields are not in the table. */
  readonly extensible?: boolean
  /** Fields that those variants have besides their own. */
  readonly common?: Fields
  /** Any other argument is a name of something that the file declares, with these fields. */
  readonly named?: {readonly noun: string; readonly doc: string; readonly fields: Fields}
  readonly variants: V
}

export type Shape = Field<any> | List<any> | Rows<any> | Pairs<any> | Block<any, any> | Choice<any>

/** What the reader returns for a shape. */
export type Read<S> =
  S extends Block<infer A, infer F>
    ? S extends {readonly repeatable: true}
      ? readonly ReadBlock<A, F>[]
      : ReadBlock<A, F> | undefined
    : S extends Choice<infer V>
      ? S extends {readonly repeatable: true; readonly extensible: true}
        ? readonly (ReadChoice<V> | ReadExtension)[]
        : S extends {readonly repeatable: true; readonly named: {readonly fields: infer F extends Fields}}
          ? readonly (ReadChoice<V> | ReadNamed<F>)[]
          : ReadChoice<V> | undefined
      : S extends Field<infer T, infer Presence>
        ? Presence extends 'present'
          ? Located<T>
          : Located<T> | undefined
        : S extends List<infer T>
          ? readonly Located<T>[]
          : S extends Rows<infer T>
            ? readonly ReadRow<T>[]
            : S extends Pairs<infer T>
              ? ReadonlyMap<string, Located<T>>
              : never

export type ReadFields<F extends Fields> = {readonly [K in keyof F]: Read<F[K]>}

/** A block that was read; the span is that of its name. */
export interface ReadBlock<A, F extends Fields> extends Span {
  /** Absent when it was not given, or not acceptable. */
  readonly argument?: Located<A>
  readonly fields: ReadFields<F>
  /** The fields that were written, acceptable or not; `argument` when there was one. */
  readonly given: ReadonlySet<string>
}

/** A command that was read; the span is that of its name. */
export interface ReadRow<T> extends Span {
  /** At least one. */
  readonly words: readonly Located<T>[]
}

/** A choice whose argument names something that the file declares. */
export interface ReadNamed<F extends Fields> extends Span {
  readonly type: 'named'
  readonly name: Located<string>
  readonly fields: ReadFields<F>
}

/** A choice that was read: the fields are those of its type. */
export type ReadChoice<V extends Readonly<Record<string, Fields>>> = {
  readonly [K in keyof V & string]: Span & {
    readonly type: K
    readonly fields: ReadFields<V[K]>
    /** The fields that were written, acceptable or not. */
    readonly given: ReadonlySet<string>
  }
}[keyof V & string]

/** A choice whose type a plugin brought: its fields as they were written. */
export interface ReadExtension extends Span {
  readonly type: 'extension'
  readonly extension: string
  readonly settings: Readonly<Record<string, Scalar | readonly Scalar[]>>
  /** The fields that all variants have. */
  readonly common: Readonly<Record<string, Located<unknown> | undefined>>
}

type Options<T> = Partial<Pick<Field<T>, 'synonyms'>>

export const field = <T>(kind: Kind<T>, doc: string, options: Options<T> = {}): Field<T, 'optional'> => ({
  shape: 'field',
  kind,
  doc,
  ...options,
})

/** A field that must be there; its absence is reported by the reader. */
export const required = <T>(kind: Kind<T>, doc: string, options: Options<T> = {}): Field<T, 'optional'> => ({
  ...field(kind, doc, options),
  required: true,
})

/** A field with a default, which is also what the reader returns for a value that is wrong. */
export const defaulted = <T>(kind: Kind<T>, value: T, doc: string, options: Options<T> = {}): Field<T, 'present'> => ({
  ...field(kind, doc, options),
  default: value,
  presence: 'present',
})

export const list = <T>(kind: Kind<T>, doc: string, options: Options<T> = {}): List<T> => ({shape: 'list', kind, doc, ...options})

export const rows = <T, const O extends {readonly repeatable?: boolean}>(kind: Kind<T>, doc: string, options: O): Rows<T> & O => ({
  shape: 'rows',
  kind,
  doc,
  ...options,
})

export const pairs = <T>(kind: Kind<T>, key: Pick<Pairs<T>, 'isKey' | 'keyRule' | 'instead'>, doc: string): Pairs<T> => ({
  shape: 'pairs',
  kind,
  doc,
  ...key,
})

export const block = <A, const F extends Fields, const O extends Omit<Block<A, F>, 'shape' | 'fields' | 'doc'>>(
  doc: string,
  options: O & {readonly argument?: Field<A>},
  fields: F,
): Block<A, F> & O => ({shape: 'block', doc, ...options, fields})

export const choice = <const V extends Readonly<Record<string, Fields>>, const O extends Omit<Choice<V>, 'shape' | 'variants' | 'doc'>>(
  doc: string,
  options: O,
  variants: V,
): Choice<V> & O => ({shape: 'choice', doc, ...options, variants})

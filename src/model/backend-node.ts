/** When a change of a spec takes effect: at once, at the next start, or only on a new VM. */
export type Effect = 'now' | 'restart' | 'reload'

/** What one field of a backend's node holds, and what is said of it. */
export interface BackendField {
  /** One sentence, for the reference. */
  readonly doc: string
  /**
   * `any-text` may be empty. `path` becomes absolute; `program` too, unless it is a name to be looked up in PATH. Both start at the
   * directory of the VMFile.
   */
  readonly holds: 'text' | 'any-text' | 'word' | 'integer' | 'boolean' | 'path' | 'program'
  /** Whether there can be several: the value is an array then, and absent when there is none. */
  readonly isList?: boolean
  /** What it is called in messages: `machine type`; its name when absent. */
  readonly noun?: string
  /** Those that are possible, of a `word`. */
  readonly words?: readonly string[]
  /** Bounds of an `integer`; 0 and 2^31 - 1 when absent. */
  readonly least?: number
  readonly most?: number
  /** As it is written, with its quotes. */
  readonly example?: string
  /** When a change of it takes effect; `restart` when absent. */
  readonly effect?: Effect
}

/**
 * The node that a backend has in a VMFile, `NAME { … }` with its own name, in a `vm` and in the `defaults` of a project. What it says
 * is in the spec under the same name; nobody but the backend looks into it.
 */
export interface BackendNode {
  /** One sentence, for the reference. */
  readonly doc: string
  readonly fields: Readonly<Record<string, BackendField>>
  /** What the fields have to be together. Throws an Error that says what is wrong, which becomes a problem of the node. */
  check?(settings: BackendSettings): void
}

/** What a backend's node says: the fields that were written, by their names. */
export type BackendSettings = Readonly<Record<string, string | number | boolean | readonly (string | number | boolean)[]>>

/** By the name of the backend. */
export type BackendNodes = ReadonlyMap<string, BackendNode>

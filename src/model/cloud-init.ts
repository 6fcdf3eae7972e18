/** The documents of a NoCloud seed; text or, for what the user brought, untouched bytes. */
export interface SeedDocuments {
  readonly metaData: string
  readonly userData: string | Uint8Array
  readonly vendorData?: string | Uint8Array
  readonly networkConfig?: string | Uint8Array
}

/** A file that cloud-init writes at the first boot. */
export interface WriteFile {
  /** Absolute path in the guest. */
  readonly path: string
  /** Exactly one of the two; `source` is an absolute path on the host with the hash of its bytes. */
  readonly content?: string
  readonly source?: {readonly path: string; readonly sha256: string}
  readonly mode?: number
  readonly owner?: string
}

/** A command of cloud-init: a line for `sh`, or a program with its arguments. */
export type CloudCommand = string | readonly string[]

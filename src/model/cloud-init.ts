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

export interface CloudInitConfig {
  readonly hostname: string
  /** User to create; the SSH user when absent. */
  readonly user?: string
  /** Public keys in OpenSSH form, one line each. */
  readonly sshKeys: readonly string[]
  /** A user-data file that is passed through untouched; nothing is generated then. */
  readonly userData?: HashedFile
  /** Whether the generated settings travel beside `userData`, as parts of one MIME message. */
  readonly merge?: boolean
  readonly packages?: readonly string[]
  readonly packageUpdate?: boolean
  readonly packageUpgrade?: boolean
  readonly writeFiles?: readonly WriteFile[]
  /** Run at every boot, early. */
  readonly bootCommands?: readonly CloudCommand[]
  /** Run once, at the end of the first boot. */
  readonly runCommands?: readonly CloudCommand[]
  /** Files that are passed through untouched. */
  readonly networkConfig?: HashedFile
  readonly vendorData?: HashedFile
  readonly timezone?: string
  readonly locale?: string
  /** A password for the user, as crypt(5) hash. Opt-in: without it only keys log in. */
  readonly passwordHash?: string
  /** Whether the serial console logs the user in without asking. */
  readonly consoleAutologin?: boolean
}

/** A file of the host; the hash (SHA-256, hex) is that of its bytes when the VMFile was read. */
export interface HashedFile {
  /** Absolute path. */
  readonly path: string
  readonly sha256: string
}

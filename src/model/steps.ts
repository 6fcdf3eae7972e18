/** What a `provision "shell"` does: exactly one of `inline` and `script`. */
export interface ShellSettings {
  readonly inline?: string
  /** Absolute path of a script on the host. */
  readonly script?: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Variables whose values are neither shown nor kept. */
  readonly secretEnv?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  /** Program of the guest that runs it, with its own arguments; the shell, or the first line of the script, when absent. */
  readonly interpreter?: string
  readonly privileged: boolean
}

/** What a `provision "file"` does. */
export interface FileSettings {
  /** Absolute path of a file or directory on the host. */
  readonly source: string
  /** Absolute path in the guest. */
  readonly destination: string
  /** Permission bits; those of the source when absent. */
  readonly mode?: number
  /** `user` or `user:group`. */
  readonly owner?: string
  readonly privileged: boolean
  /** Patterns of what a directory is uploaded without. */
  readonly ignore?: readonly string[]
  /** By whose rules they are read; by those of .gitignore when absent. */
  readonly ignoreRules?: 'dockerignore'
  /** Whether the destination loses what the source directory does not have. */
  readonly mirror?: boolean
}

export interface JobSpec {
  /** Text of the script, or the local file that holds it. */
  readonly script: {readonly text: string} | {readonly path: string}
  /** Whether `script` is a program with its own first line, or a text for the login shell. */
  readonly executable: boolean
  /** Program, and its own arguments, that runs the script instead. */
  readonly interpreter?: string | undefined
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly privileged: boolean
}

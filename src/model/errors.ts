import {exitCodes, type FailureCode, failures} from './failures.ts'

export {exitCodes, type FailureCode, failures} from './failures.ts'

/** One problem of a VMFile, with its place. Lines and columns count from 1; a column counts characters (code points). */
export interface Problem {
  readonly code: 'vmctl::vmfile::parse_failed' | 'vmctl::vmfile::validation'
  readonly severity: 'error' | 'warning'
  readonly file: string
  readonly line: number
  readonly column: number
  /** Characters to underline, at least 1. */
  readonly length: number
  readonly message: string
  readonly hint?: string
}

export interface VmctlErrorOptions {
  /** What the user can do next; the default advice of the code when absent. */
  readonly help?: string
  readonly cause?: unknown
  readonly problems?: readonly Problem[]
  /** Facts for programs (`--json`): plain data, never secrets. */
  readonly details?: Readonly<Record<string, unknown>>
}

const brand = Symbol.for('vmctl.error')

/** A failure that the user can act on. Anything else that reaches the CLI is a defect of vmctl. */
export class VmctlError extends Error {
  override readonly name: string = 'VmctlError'
  readonly code: FailureCode
  readonly help: string
  readonly problems: readonly Problem[]
  readonly details: Readonly<Record<string, unknown>>
  readonly [brand] = true

  constructor(code: FailureCode, message: string, options: VmctlErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : {cause: options.cause})
    this.code = code
    this.help = options.help ?? failures[code].help
    this.problems = options.problems ?? []
    this.details = options.details ?? {}
  }
}

/** Use this, not `instanceof`: a plugin may carry its own copy of vmctl. */
export const isVmctlError = (error: unknown): error is VmctlError => typeof error === 'object' && error !== null && brand in error

/** The same failure with the VM's name in its advice (`vmctl log NAME` becomes `vmctl log web`) and in its details. */
export const aboutVm = (cause: unknown, name: string): unknown => {
  const error = explained(cause)
  if (!isVmctlError(error)) return error
  return new VmctlError(error.code, error.message, {
    help: error.help.replaceAll(/\bNAME\b/g, name),
    problems: error.problems,
    details: {vm: name, ...error.details},
    ...(error.cause !== undefined && {cause: error.cause}),
  })
}

/** The exit status for anything that was thrown. */
export const exitCodeOf = (error: unknown): number => (isVmctlError(error) ? failures[error.code].exit : exitCodes.unexplained)

/** The text of anything that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/**
 * A failure of the operating system that nobody has named on its way up, as an error for the user: what was being done, to
 * what, and why it did not work. Anything else is given back as it is.
 */
export const explained = (error: unknown): unknown => {
  if (isVmctlError(error) || !(error instanceof Error) || !('syscall' in error)) return error
  const code = systemCode(error)
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error
  const path = 'path' in error && typeof error.path === 'string' ? ` ${error.path}` : ''
  // Node writes `ENOSPC: no space left on device, rename '/a' -> '/b'`.
  const reason = /^E[A-Z0-9]+: ([^,]+),/.exec(error.message)?.[1] ?? error.message
  return new VmctlError('vmctl::io', `Cannot ${String(error.syscall)}${path}: ${reason}.`, {
    cause: error,
    ...(['ENOSPC', 'EDQUOT'].includes(code) && {help: 'Free some disk space, then run the command again.'}),
    ...(['EMFILE', 'ENFILE'].includes(code) && {
      help: 'Close other programs or raise the limit (`ulimit -n`), then run the command again.',
    }),
  })
}

/** The operating system's code (`ENOENT`, `ENOSPC`, …) of a Node error. */
export const systemCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

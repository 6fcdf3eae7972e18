import {exitCodes, type FailureCode, failures} from './failures.ts'

export {exitCodes, type FailureCode, failures} from './failures.ts'

/** A place in a VMFile. Lines and columns count from 1; a column counts characters (code points). */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
  /** Characters to underline, at least 1. */
  readonly length: number
}

/** One problem of a VMFile, with its place. */
export interface Problem extends Place {
  readonly code: 'vmctl::vmfile::parse_failed' | 'vmctl::vmfile::validation'
  readonly severity: 'error' | 'warning'
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
  /** Exit status, where it follows from what happened and not from the code alone. */
  readonly exit?: number
}

const brand = Symbol.for('vmctl.error')

/** A failure that the user can act on. Anything else that reaches the CLI is a defect of vmctl. */
export class VmctlError extends Error {
  override readonly name: string = 'VmctlError'
  readonly code: FailureCode
  readonly help: string
  readonly problems: readonly Problem[]
  readonly details: Readonly<Record<string, unknown>>
  /** As in the options; else the code says it. */
  readonly exit: number | undefined
  readonly [brand] = true

  constructor(code: FailureCode, message: string, options: VmctlErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : {cause: options.cause})
    this.code = code
    this.help = options.help ?? failures[code].help
    this.problems = options.problems ?? []
    this.details = options.details ?? {}
    this.exit = options.exit
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
    ...(error.exit !== undefined && {exit: error.exit}),
    ...(error.cause !== undefined && {cause: error.cause}),
  })
}

/** The exit status for anything that was thrown. */
export const exitCodeOf = (error: unknown): number =>
  isVmctlError(error) ? (error.exit ?? failures[error.code].exit) : exitCodes.unexplained

/** Exit statuses from the most severe on: what concerns vmctl itself, the host and so every VM, one guest, the request. */
const bySeverity: readonly number[] = (
  ['interrupted', 'unexplained', 'host', 'guest', 'timeout', 'state', 'notFound', 'usage'] as const
).map((kind) => exitCodes[kind])

/**
 * Failures of several VMs as one, whose exit status is the kind that they share, else the most severe, so that a script sees the
 * same status for one VM and for ten. A VM that was left alone because of another one says nothing of its own.
 * @param of how many VMs there were
 */
export const severalFailed = (
  failed: readonly {readonly name: string; readonly error: unknown}[],
  {of, details}: {readonly of: number; readonly details: Readonly<Record<string, unknown>>},
): VmctlError => {
  const isConsequence = (error: unknown): boolean => isVmctlError(error) && error.code === 'vmctl::vm::dependency_failed'
  const causes = failed.filter(({error}) => !isConsequence(error))
  const statuses = new Set((causes.length > 0 ? causes : failed).map(({error}) => exitCodeOf(error)))
  const names = failed.map(({name}) => name).join(', ')
  const exit = bySeverity.find((status) => statuses.has(status))
  return new VmctlError('vmctl::vms::failed', `${failed.length} of ${of} VMs failed: ${names}.`, {
    details,
    ...(exit !== undefined && {exit}),
  })
}

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

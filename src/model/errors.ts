import {type Advice, exitCodes} from './exit-codes.ts'
import {adviceText, type Failure, type FailureCode, meaningOf, type PluginCode} from './failures.ts'

export {type Advice, exitCodes} from './exit-codes.ts'
export {type Failure, type FailureCode} from './failures.ts'

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

/** What vmctl decides by when something has failed. All of it stands in `details` too, for programs. */
export interface FailureFacts {
  /** Whether the same attempt may succeed without anybody's doing: at once, after a while, or never. */
  readonly retry?: 'now' | 'later' | 'never' | undefined
  /** With which status a program has ended. */
  readonly exitCode?: number | undefined
  /** The VM at whose failure it began that this one was left alone. */
  readonly dependency?: string | undefined
  /** Paths of keys that were passed over because they need a passphrase. */
  readonly encrypted?: readonly string[] | undefined
  /** The guest takes no keys of the kind that vmctl has made for it. */
  readonly lacksType?: boolean | undefined
  /** The VMs of the VMFile that a name stands for, none of which is created yet. */
  readonly vms?: readonly string[] | undefined
  /** The guest has restarted while something ran in it. */
  readonly restarted?: boolean | undefined
  /** Why a private key cannot be used. */
  readonly reason?: 'missing' | 'unreadable' | 'not-a-key' | 'unsupported' | 'encrypted' | undefined
}

export interface VmctlErrorOptions extends FailureFacts {
  /** What the user can do next; the default advice of the code when absent. */
  readonly help?: Advice | undefined
  readonly cause?: unknown
  readonly problems?: readonly Problem[]
  /** Further facts for programs (`--json`): plain data, never secrets. Nothing is decided by them. */
  readonly details?: Readonly<Record<string, unknown>>
  /** Exit status, where it follows from what happened and not from the code alone. */
  readonly exit?: number | undefined
}

/** What a failure is about. */
export interface Subject {
  readonly vm?: string
  /** Number of the provision step, from 1. */
  readonly step?: number
}

const brand = Symbol.for('vmctl.error')

/**
 * A failure that the user can act on. Anything else that reaches the CLI is a defect of vmctl. On its way up it learns more
 * (`about`, `reword`) and stays the same error, with the stack of where it began.
 */
export class VmctlError extends Error {
  override readonly name: string = 'VmctlError'
  readonly code: FailureCode | PluginCode
  /** What the code means; a failure that follows from this one may be of the same kind. */
  readonly kind: FailureCode | Failure
  readonly problems: readonly Problem[]
  /** Exit status. */
  readonly exit: number
  readonly facts: FailureFacts
  readonly [brand] = true
  #subject: Subject = {}
  #help: Advice
  #details: Readonly<Record<string, unknown>>

  /** @param kind a code of vmctl, or what a plugin has registered */
  constructor(kind: FailureCode | Failure, message: string, options: VmctlErrorOptions = {}) {
    const {help, cause, problems = [], details, exit, ...facts} = options
    super(message, cause === undefined ? undefined : {cause})
    const meaning = typeof kind === 'string' ? meaningOf(kind) : kind
    this.code = typeof kind === 'string' ? kind : kind.code
    this.kind = kind
    this.problems = problems
    this.exit = exit ?? meaning.exit
    this.facts = facts
    this.#help = help ?? meaning.help
    this.#details = {...facts, ...details}
  }

  /** What the user can do next. */
  get help(): string {
    return adviceText(this.#help, this.#subject.vm)
  }

  /** Facts for programs (`--json`). */
  get details(): Readonly<Record<string, unknown>> {
    return {...this.#subject, ...this.#details}
  }

  /** Tells the error what it is about. Who is nearest to the cause speaks first, and is not overruled. */
  about(subject: Subject): this {
    this.#subject = {...subject, ...this.#subject}
    return this
  }

  /** Says it better, where more is known. */
  reword({message, help, details}: Pick<VmctlErrorOptions, 'help' | 'details'> & {readonly message?: string}): this {
    this.message = message ?? this.message
    this.#help = help ?? this.#help
    this.#details = {...this.#details, ...details}
    return this
  }
}

/** Use this, not `instanceof`: a plugin may carry its own copy of vmctl. */
export const isVmctlError = (error: unknown): error is VmctlError => typeof error === 'object' && error !== null && brand in error

/** Whether it is a failure of one of these kinds. */
export const isFailure = <Kind extends FailureCode | Failure>(
  error: unknown,
  ...kinds: readonly Kind[]
): error is VmctlError & {readonly code: Kind extends Failure ? Kind['code'] : Kind} =>
  isVmctlError(error) && kinds.some((kind) => (typeof kind === 'string' ? kind : kind.code) === error.code)

/** What is to be decided by; nothing is known of what is no failure of vmctl or its plugins. */
export const factsOf = (error: unknown): FailureFacts => (isVmctlError(error) ? error.facts : {})

/**
 * The same error, which knows now what it is about; one of the operating system as `explained` has it. Nobody's VM is at fault when
 * the user has interrupted.
 */
export const about = (thrown: unknown, subject: Subject): unknown => {
  const error = explained(thrown)
  return isVmctlError(error) && !isFailure(error, 'vmctl::interrupted') ? error.about(subject) : error
}

/** The exit status for anything that was thrown. */
export const exitCodeOf = (error: unknown): number =>
  isVmctlError(error) && bySeverity.includes(error.exit) ? error.exit : exitCodes.unexplained

/** Exit statuses from the most severe on: what concerns vmctl itself, the host and so every VM, one guest, the request. */
const bySeverity: readonly number[] = (
  ['interrupted', 'unexplained', 'host', 'guest', 'timeout', 'state', 'notFound', 'usage'] as const
).map((kind) => exitCodes[kind])

/**
 * The exit status of several failures: the kind that they share, else the most severe, so that a script sees the same for one and for
 * ten. A VM that was left alone because of another one says nothing of its own.
 */
export const exitCodeOfAll = (errors: readonly unknown[]): number => {
  const causes = errors.filter((error) => !isFailure(error, 'vmctl::vm::dependency_failed'))
  const statuses = new Set((causes.length > 0 ? causes : errors).map(exitCodeOf))
  return bySeverity.find((status) => statuses.has(status)) ?? exitCodes.unexplained
}

/**
 * Failures of several VMs or images as one.
 * @param of how many there were of them
 */
export const severalFailed = (
  failed: readonly {readonly name: string; readonly error: unknown}[],
  {
    of,
    details,
    things = 'VMs',
  }: {readonly of: number; readonly details: Readonly<Record<string, unknown>>; readonly things?: 'VMs' | 'images'},
): VmctlError =>
  new VmctlError(
    things === 'VMs' ? 'vmctl::vms::failed' : 'vmctl::images::failed',
    `${failed.length} of ${of} ${things} failed: ${failed.map(({name}) => name).join(', ')}.`,
    {details, exit: exitCodeOfAll(failed.map(({error}) => error))},
  )

/** A failure among the results of several; part of `--json`. */
export interface FailureSummary {
  readonly code: string
  readonly message: string
  readonly help?: string
}

export const summaryOf = (error: unknown): FailureSummary =>
  isVmctlError(error) ? {code: error.code, message: error.message, help: error.help} : {code: 'unexplained', message: messageOf(error)}

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
  return new VmctlError('vmctl::io', `Cannot ${String(error.syscall)}${path}: ${reasonOf(error)}.`, {cause: error, ...systemHelp(error)})
}

/** Why, in the system's words: of `ENOSPC: no space left on device, rename '/a' -> '/b'` what is not the code, the call and the paths. */
export const reasonOf = (error: unknown): string => {
  const message = messageOf(error)
  return /^E[A-Z0-9]+: (?<words>[^,]+)(?:, [a-z0-9]+\b.*)?$/s.exec(message)?.groups?.words ?? message
}

/** What to do about a failure of the operating system, where its code tells that. */
export const systemHelp = (error: unknown): {help?: string} => {
  const help = systemHelps[systemCode(error) ?? '']
  return help === undefined ? {} : {help}
}

const room = 'Free some disk space, then run the command again.'
const handles = 'Close other programs or raise the limit (`ulimit -n`), then run the command again.'
const systemHelps: Readonly<Record<string, string>> = {
  ENOSPC: room,
  EDQUOT: room,
  EMFILE: handles,
  ENFILE: handles,
  EEXIST: 'Move away what has this name, or choose another one.',
  ENOTDIR: 'Choose another path, or move away the file that stands in it where a directory is wanted.',
}

/** The operating system's code (`ENOENT`, `ENOSPC`, …) of a Node error. */
export const systemCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** Where it began, and where what caused it began. */
export const stackOf = (error: unknown): string => {
  const stacks: string[] = []
  // A chain may be a circle.
  for (let at = error; at !== undefined && stacks.length < 10; at = at instanceof Error ? at.cause : undefined)
    stacks.push((at instanceof Error ? at.stack : undefined) ?? messageOf(at))
  return stacks.join('\nbecause: ')
}

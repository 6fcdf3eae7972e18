import type {Readable} from 'node:stream'

import type {ProvisionStep, Vm} from '../model/vm.ts'

/** How a program in the guest ended: exactly one of the two is not null. */
export interface GuestExit {
  readonly code: number | null
  readonly signal: string | null
}

export interface GuestExecOptions {
  /** Bytes for the program's standard input; closed at once when absent. */
  readonly stdin?: Readable | string | Uint8Array
  /** Gets every byte of standard output; the stream waits while the returned promise is pending. */
  readonly onStdout?: (chunk: Buffer) => void | Promise<void>
  readonly onStderr?: (chunk: Buffer) => void | Promise<void>
  readonly signal?: AbortSignal | undefined
}

/**
 * A guest that can be worked with over SSH. `provision/` declares what it needs; `guest/ssh.ts` gives it.
 * Every method throws `vmctl::ssh::connection_lost` when the connection ends before the result is known.
 */
export interface Guest {
  /**
   * Runs a command by the login shell's `exec`: pass what every shell understands, best `sh -c '…'` made with `quote`.
   * Resolves when the program has ended and all of its output was delivered.
   */
  exec(command: string, options?: GuestExecOptions): Promise<GuestExit>
  /** Rejects with `vmctl::ssh::connection_lost` as soon as the connection is gone. */
  readonly closed: Promise<never>
  close(): void
}

/** What a provisioner may use while it runs one step. */
export interface StepContext {
  readonly vm: Vm
  /** Counts from 1 over all steps of the VM. */
  readonly step: number
  readonly guest: Guest
  /** Appends to provision.log and shows it on the terminal at the same time; waits when the terminal is slow. */
  readonly output: (stream: 'stdout' | 'stderr', chunk: Uint8Array) => Promise<void>
  readonly signal: AbortSignal
}

/**
 * A kind of provision step: `provision "TYPE" { … }`.
 *
 * Call order: `parse` when the VMFile is read, `describe` and `fingerprint` when a plan is made, `run` when it is applied.
 */
export interface Provisioner<Settings = unknown> {
  readonly type: string
  /** Checks the settings of a step; throws an Error whose message says what is wrong. Pure. */
  parse(settings: Readonly<Record<string, unknown>>): Settings
  /** A few words for logs and errors: `inline: echo hello`, `script: setup.sh`. */
  describe(settings: Settings): string
  /** A hash of everything that the step depends on, local files included; a changed one means a changed step. */
  fingerprint(settings: Settings, step: ProvisionStep): Promise<string>
  /** Returns when the step has succeeded; throws when it has failed or its outcome is unknown. */
  run(settings: Settings, context: StepContext): Promise<void>
}

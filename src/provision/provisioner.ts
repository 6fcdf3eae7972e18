import type {ExecExit, ExecOptions} from '../model/exec.ts'
import type {GuestFiles} from '../model/guest-files.ts'
import type {RunMode} from '../model/steps.ts'
import type {Vm} from '../model/vm.ts'

/** As plugins know them. */
export type {ExecExit as GuestExit, ExecOptions as GuestExecOptions} from '../model/exec.ts'

export interface GuestUploadOptions {
  /** Permission bits; those of the local file when absent. */
  readonly mode?: number
  /** `user` or `user:group`. */
  readonly owner?: string
  /** Write as root, by sudo or doas. */
  readonly privileged?: boolean
  /** Called with the number of bytes so far. */
  readonly onProgress?: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * A connection to a guest. `provision/` declares what it needs; `guest/ssh.ts` gives it.
 * Every method throws `vmctl::ssh::connection_lost` when the connection ends before the result is known.
 */
export interface Guest {
  /** Differs with every boot of the guest; absent when the guest does not tell. */
  readonly bootId?: string | undefined
  /**
   * Runs a POSIX shell command line by /bin/sh, whatever the login shell is.
   * Resolves when the program has ended and all of its output was delivered.
   */
  exec(command: string, options?: ExecOptions): Promise<ExecExit>
  /** Streams a local file to the guest and replaces the destination as a whole. */
  upload(localPath: string, remotePath: string, options?: GuestUploadOptions): Promise<void>
  /** Of a guest without a shell, where `exec` fails with `vmctl::guest::no_shell`; absent otherwise. */
  readonly files?: GuestFiles | undefined
}

/** How much of its output a step has handed over. */
export interface Delivered {
  readonly stdout: number
  readonly stderr: number
}

/** What a provisioner may use while it runs one step. */
export interface StepContext {
  readonly vm: Vm
  /** Counts from 1 over all steps of the VM. */
  readonly step: number
  /** The connection to the guest; made anew when the last one was lost. */
  readonly guest: () => Promise<Guest>
  /** Appends to provision.log and shows it on the terminal at the same time; waits when the terminal is slow. */
  readonly output: (stream: 'stdout' | 'stderr', chunk: Uint8Array) => Promise<void>
  /** The `env` of the VM: for what the step runs, below an environment of its own. */
  readonly env: Readonly<Record<string, string>>
  /** What an earlier vmctl remembered of this very step when it was cut off in the middle of it. */
  readonly memory: unknown
  /** Bytes of each stream that reached provision.log before: a step that is continued hands over what comes after them. */
  readonly delivered: Delivered
  /**
   * Writes durably what a later vmctl needs in order to continue this step. Plain JSON data, no secrets. From then on
   * only `vmctl::provision::failed`, `…::timed_out` and an abort end the step; after any other error it is continued.
   */
  readonly remember: (memory: unknown) => Promise<void>
  /** Something to do once the result of the run is on record, such as tidying up in the guest. Its failure does not matter. */
  readonly afterwards: (action: () => Promise<void>) => void
  readonly signal: AbortSignal
}

/**
 * A kind of provision step: `provision "TYPE" { … }`.
 *
 * Call order: `parse` when the VMFile is read and before a run, `describe` and `facts` when a plan is made, `isIntact` and `run` when it is applied.
 */
export interface Provisioner<Settings = unknown> {
  readonly type: string
  /**
   * Checks the settings of a step; throws an Error whose message says what is wrong. Pure. Absent for vmctl's own types, whose
   * settings `model/steps.ts` defines.
   */
  parse?(settings: Readonly<Record<string, unknown>>): Settings
  /** A few words for logs and errors: `inline: echo hello`, `script: setup.sh`. */
  describe(settings: Settings): string
  /** When a step of this kind runs again unless the VMFile says so; `always` when absent. */
  readonly runs?: RunMode
  /** The step does nothing of its own: it runs only together with a step before it, and no other step rests on it. */
  readonly follows?: boolean
  /**
   * Everything that the step depends on, by the words in which a change of it is told (`arguments`, a path). Of local
   * files their hash. Only hashes of the values are stored. A changed one means a changed step.
   * @param surroundings the `env` of the VM, for a step that passes it on
   */
  facts(settings: Settings, surroundings: {readonly env: Readonly<Record<string, string>>}): Promise<Readonly<Record<string, unknown>>>
  /**
   * Whether a run removes what earlier ones of this VM have left in the guest once their result was on record. What the step before
   * wants done afterwards is left to it then, which is a command less in a guest that may be slow.
   */
  readonly sweeps?: boolean
  /** Returns when the step has succeeded; throws when it has failed or its outcome is unknown. */
  run(settings: Settings, context: StepContext): Promise<void>
  /**
   * Whether what a run has left in the guest is still as it left it. A step that was done, did not change and would run at each
   * start is asked this after one, and runs only when it is not. Changes nothing in the guest.
   */
  isIntact?(settings: Settings, context: Pick<StepContext, 'guest' | 'signal'>): Promise<boolean>
  /**
   * Why no layer may hold what a step has left in the guest unless the VMFile says `cache #true`, in words; undefined where nothing speaks
   * against it. Without it no step of this kind is kept.
   */
  unkept?(settings: Settings): string | undefined
  /** Ends what an earlier run has left in the guest, given what it remembered; called before the step is run anew. */
  abandon?(memory: unknown, context: Pick<StepContext, 'guest' | 'afterwards'>): Promise<void>
}

import type {Readable} from 'node:stream'

/** How a program in the guest ended: exactly one of the two is not null. `signal` is a name such as `SIGTERM`. */
export interface ExecExit {
  readonly code: number | null
  readonly signal: string | null
}

export interface ExecOptions {
  /** Bytes for standard input, closed at once when absent. A stream is used up: it is destroyed when the program has ended. */
  readonly stdin?: Readable | string | Uint8Array
  /** Gets every byte; nothing more is read from the guest while more than `aheadBytes` are in a promise that is pending. */
  readonly onStdout?: (chunk: Buffer) => void | Promise<void>
  readonly onStderr?: (chunk: Buffer) => void | Promise<void>
  /** Default: 0, every chunk is waited for. */
  readonly aheadBytes?: number
  /** Gives the channel up. SSH has no way to end a program that ignores its closed pipes. */
  readonly signal?: AbortSignal | undefined
}

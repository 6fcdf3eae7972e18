import type {Duplex, Readable} from 'node:stream'

import type {Candidate} from './candidates.ts'

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

/** A guest that can be worked with. Structurally the `Guest` of `provision/`. */
export interface GuestConnection {
  readonly user: string
  /** The key that the guest showed, as an OpenSSH line. */
  readonly hostKey: string
  /** What has let us in. */
  readonly key?: Candidate | undefined
  /**
   * Runs a POSIX shell command line by /bin/sh, whatever the login shell is, and resolves when it has ended and its whole output was
   * delivered, whatever its status. What start-up files of the login shell say is no part of the output.
   * Up to the server's limit many run at once; more than that wait for their turn.
   * @throws VmctlError `vmctl::ssh::failed` with what it said, when the login shell does not come to the command
   * @throws VmctlError `vmctl::ssh::connection_lost` when the connection ends before the result is known
   */
  exec(command: string, options?: ExecOptions): Promise<ExecExit>
  /**
   * A stream to a TCP port as the guest reaches it: its SSH server makes the connection (RFC 4254, 7.2, direct-tcpip).
   * @throws VmctlError `vmctl::ssh::failed` when the guest cannot or may not connect
   */
  forward(host: string, port: number, options?: {readonly signal?: AbortSignal | undefined}): Promise<Duplex>
  /** Rejects with `vmctl::ssh::connection_lost` as soon as the connection is gone; by `close` too. */
  readonly closed: Promise<never>
  close(): void
}

import type {Duplex} from 'node:stream'

import type {ExecExit, ExecOptions} from '../../model/exec.ts'
import type {Candidate} from './candidates.ts'

/** An `SFTPWrapper` of ssh2, whose types do not come with the package: nobody else's types may rest on them. */
export interface SftpSession {
  end(): void
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
  /** Whether the guest has a POSIX shell; `exec` fails with `vmctl::guest::no_shell` where it has none. */
  readonly hasShell: boolean
  /** Hands a command line to the guest as it is: its login shell, or whatever takes the place of one, makes of it what it likes. */
  execVerbatim(command: string, options?: ExecOptions): Promise<ExecExit>
  /**
   * The session for files (SFTP), opened when it is first asked for.
   * @throws VmctlError `vmctl::guest::no_sftp` when the SSH server offers none
   */
  sftp(): Promise<SftpSession>
  /**
   * A stream to a TCP port as the guest reaches it: its SSH server makes the connection (RFC 4254, 7.2, direct-tcpip).
   * @throws VmctlError `vmctl::ssh::failed` when the guest cannot or may not connect
   */
  forward(host: string, port: number, options?: {readonly signal?: AbortSignal | undefined}): Promise<Duplex>
  /** Rejects with `vmctl::ssh::connection_lost` as soon as the connection is gone; by `close` too. */
  readonly closed: Promise<never>
  close(): void
}

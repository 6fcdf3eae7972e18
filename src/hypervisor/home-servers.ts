import type {Check} from '../model/check.ts'
import type {Notify} from './hypervisor.ts'

/** How the server of a home is reached. */
export interface HomeAccess {
  /** Every address of it: of a cluster those of its members. */
  readonly addresses: readonly ({readonly socket: string} | {readonly url: string})[]
  /** SHA-256 of its certificate; a Unix socket needs none. */
  readonly fingerprint?: string | undefined
  /** What it knows us by, as PEM. */
  readonly credentials?: HomeCredentials | undefined
  /** The project of all that names none. */
  readonly project?: string | undefined
}

export interface HomeCredentials {
  readonly certificate: string
  readonly key: string
}

/** What a token tells before it is used. */
export interface HomeToken {
  readonly urls: readonly string[]
  readonly fingerprint: string
}

interface Asking {
  readonly signal: AbortSignal
  readonly notify?: Notify
}

/** Servers that homes are on. Each method throws `vmctl::incus::…` for what the server, or the way to it, is to blame for. */
export interface HomeServers {
  /** @throws VmctlError `vmctl::home::token_invalid` */
  readToken(text: string): HomeToken
  makeCredentials(name: string): HomeCredentials
  /**
   * Makes the server trust the credentials; it is not asked to when it does already.
   * @returns the project of what names none: the one that was asked for, or the only one that the credentials are good for
   * @throws VmctlError `vmctl::home::token_invalid`, `vmctl::incus::untrusted` when a token is needed and there is none
   */
  join(access: HomeAccess, options: Asking & {readonly token?: string | undefined}): Promise<{readonly project?: string}>
  /** Makes the server forget the credentials. */
  leave(access: HomeAccess, options: Asking): Promise<void>
  /** What can be known of the server, for `vmctl doctor --home`. */
  examine(access: HomeAccess, options: Asking): Promise<readonly Check[]>
}

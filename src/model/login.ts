import {VmctlError} from './errors.ts'
import type {SshConfig, VmSpec} from './vm.ts'

type Way = Pick<VmSpec, 'network' | 'ssh' | 'cloudInit'>

/** Why vmctl cannot log in to a guest: it has no network, or nobody has told the guest of a user and a key. */
export type NoLogin = 'no-network' | 'no-user' | 'own-user-data'

/**
 * Whether vmctl can log in: it has put a user with its own key into the seed, or an `ssh` block says whom the image lets in.
 * @returns why not; undefined when it can
 */
export const whyNoLogin = ({network, ssh, cloudInit}: Way): NoLogin | undefined => {
  if (network.type === 'none') return 'no-network'
  if (ssh !== undefined) return undefined
  if (cloudInit === undefined) return 'no-user'
  return cloudInit.userData === undefined || cloudInit.merge === true ? undefined : 'own-user-data'
}

/** Whether the guest runs what vmctl brings: shell programs. */
export const hasShell = (ssh: SshConfig | undefined): boolean => ssh?.shell !== false

/** @param what is impossible, as the beginning of a sentence */
export const noShell = (what: string): VmctlError =>
  new VmctlError('vmctl::guest::no_shell', `${what}: its \`ssh { shell #false }\` says that it has no POSIX shell.`)

export const canLogIn = (spec: Way): boolean => whyNoLogin(spec) === undefined

import {VmctlError} from '../../model/errors.ts'
import {type NoLogin, whyNoLogin} from '../../model/login.ts'
import type {SshConfig, VmSpec} from '../../model/vm.ts'

const reasons: Readonly<Record<NoLogin, string>> = {
  'no-network': 'it has no network',
  'no-user': 'it has neither a cloud-init nor an ssh block, so nobody gave the guest a user and a key',
  'own-user-data': 'its user-data is passed on untouched, without a key of vmctl, and no ssh block names the user',
}

/** What is said of a VM that has just been brought up and that vmctl cannot enter. */
export const noLoginNotice = (spec: VmSpec): string | undefined => {
  const why = whyNoLogin(spec)
  return why && `vmctl cannot log in to it: ${reasons[why]}`
}

/** Whoever names a user or a key, by an option or by the `ssh` block of the VMFile as it is now, knows of a way in. */
interface Asked {
  readonly user?: string | undefined
  readonly key?: string | undefined
  readonly ssh?: SshConfig | undefined
}

/**
 * Refuses a VM whose guest cannot be reached, or knows nobody, before it is waited for in vain.
 * @throws VmctlError `vmctl::ssh::no_login`
 */
export const requireWayIn = (spec: VmSpec, {user, key, ssh}: Asked): void => {
  const why = whyNoLogin(spec)
  // The user-data may well have made the user and the key that are tried.
  if (why === undefined || why === 'own-user-data') return
  if (why === 'no-user' && (user !== undefined || key !== undefined || ssh !== undefined)) return
  const {name, network} = spec
  throw new VmctlError('vmctl::ssh::no_login', `vmctl cannot log in to ${name}: ${reasons[why]}.`, {
    help:
      network.type === 'none'
        ? `Use its serial console: \`vmctl console ${name}\`. To reach it by SSH, give it \`network "user"\`.`
        : `If the image has a user of its own, name it: \`vmctl ssh ${name} --user NAME --key PATH\`, or \`ssh { user "NAME" }\` in the VMFile. Otherwise add \`cloud-init { }\` and make the VM anew; \`vmctl console ${name}\` shows its serial console.`,
  })
}

/** @throws VmctlError `vmctl::ssh::no_login` when there is nothing to log in with */
export const requireKeys = <Key>({name}: Pick<VmSpec, 'name'>, keys: readonly Key[]): readonly Key[] => {
  if (keys.length > 0) return keys
  throw new VmctlError('vmctl::ssh::no_login', `vmctl cannot log in to ${name}: there is no private key to try.`, {
    help: `Name one: \`vmctl ssh ${name} --key PATH\`, or \`ssh { private-key "PATH" }\` in the VMFile; or load it into ssh-agent. \`ssh-keygen\` makes one.`,
  })
}

/** @throws VmctlError `vmctl::provision::no_ssh` for a VM whose steps could not be run */
export const requireLogin = (spec: VmSpec): void => {
  if (spec.network.type === 'none') {
    throw new VmctlError('vmctl::provision::no_ssh', `${spec.name} has provisioners but no network.`, {
      help: 'Give it `network "user"`, or remove its provision steps.',
    })
  }
  const why = whyNoLogin(spec)
  if (why)
    throw new VmctlError('vmctl::provision::no_ssh', `${spec.name} has provisioners, but vmctl cannot log in to it: ${reasons[why]}.`)
}

import {dump} from 'js-yaml'

import type {GuestOs} from '../../model/vm.ts'
import {blockSettings, type BootPrograms, type CloudInitBlock, programCommands} from './cloud-init-block.ts'
import {type KeyPair, kindOfKey, requirePublicKey} from '../keys/keys.ts'

/**
 * The NoCloud documents (cloud-init documentation, "NoCloud" and "Module reference").
 *
 * They go through js-yaml's `dump`: it quotes every word that the YAML 1.1 parser of cloud-init would take for
 * something else (`yes`, `1:30`, `2001-12-14`), which `yaml` does not. lineWidth -1 keeps long keys on one line.
 */
const cloudConfig = (document: Readonly<Record<string, unknown>>): string => `#cloud-config\n${yaml(document)}`

const yaml = (document: Readonly<Record<string, unknown>>, options: {readonly forceQuotes?: boolean} = {}): string =>
  dump(document, {lineWidth: -1, noRefs: true, ...options})

export interface UserDataSettings {
  readonly user: string
  /** The next free one when absent. */
  readonly uid?: number
  /** OpenSSH lines. */
  readonly authorizedKeys: readonly string[]
  /** Absent after the first boot, when the guest has it. */
  readonly hostKey?: KeyPair | undefined
  readonly programs?: BootPrograms
  readonly os?: GuestOs
  /** Whatever else the VMFile asks of cloud-init. */
  readonly block?: CloudInitBlock
}

/**
 * User-data as the book promises it: one user with sudo and the keys, bash, no login for root, no passwords.
 */
export const userData = ({user, uid, authorizedKeys, hostKey, programs, os = 'systemd', block = {}}: UserDataSettings): string => {
  const isRoot = user === 'root'
  return cloudConfig({
    users: [
      {
        name: user,
        ...(uid !== undefined && !isRoot && {uid}),
        ...(isRoot ? {} : rightsOf(os)),
        ...passwordOf(block.passwordHash, os),
        // The schema wants at least one, or nothing.
        ...(authorizedKeys.length === 0 ? {} : {ssh_authorized_keys: [...authorizedKeys]}),
      },
    ],
    // A VM whose user is root cannot lock root out.
    disable_root: !isRoot,
    ssh_pwauth: false,
    // An entry for the own name in /etc/hosts: without one every sudo asks the network for it.
    manage_etc_hosts: 'localhost',
    ...(hostKey && hostKeySettings(hostKey)),
    ...blockSettings(block, {user, os, programs}),
  })
}

/** Alpine has neither bash nor sudo by itself; the rule of doas is a file of the block. */
const rightsOf = (os: GuestOs): Readonly<Record<string, unknown>> => ({
  shell: os === 'openrc' ? '/bin/sh' : '/bin/bash',
  // cloud-init makes a group that a distribution does not have; the rule below does not rest on it.
  ...(os === 'systemd' && {groups: ['adm', 'sudo']}),
  sudo: 'ALL=(ALL) NOPASSWD:ALL',
})

/**
 * By default no password fits. An SSH server without PAM, such as Alpine's, takes a locked account for one that may not log in
 * with keys either, so there the password is a hash that none has.
 */
const passwordOf = (hash: string | undefined, os: GuestOs): Readonly<Record<string, unknown>> => {
  if (hash !== undefined) return {lock_passwd: false, hashed_passwd: hash}
  return os === 'openrc' ? {lock_passwd: false, hashed_passwd: '*'} : {lock_passwd: true}
}

/** What travels beside user-data that is not ours. cloud-init merges it below the user's own settings. */
export const vendorData = ({hostKey, programs}: Pick<UserDataSettings, 'hostKey' | 'programs'>): string => {
  const commands = programCommands(programs)
  return cloudConfig({...(hostKey && hostKeySettings(hostKey)), ...(commands.length > 0 && {bootcmd: commands})})
}

/**
 * The identity of the guest. cloud-init configures the guest anew when `instanceId` changes, so it must stay
 * the same for the life of a disk and differ between disks.
 */
export const metaData = ({instanceId, hostname}: {readonly instanceId: string; readonly hostname: string}): string =>
  // `1e309` is a host name and, for js-yaml, no number; other readers take it for infinity.
  yaml({'instance-id': instanceId, 'local-hostname': hostname}, {forceQuotes: true})

/**
 * Keys that are given are the only ones: cc_ssh then makes no others, which saves 5–9 s of RSA under TCG.
 * The fingerprints of a key that we made ourselves are no news, and the serial console is slow.
 */
const hostKeySettings = ({privateKey, publicKey}: KeyPair): Readonly<Record<string, unknown>> => {
  const kind = kindOfKey(requirePublicKey(publicKey).type).toLowerCase()
  return {ssh_keys: {[`${kind}_private`]: privateKey, [`${kind}_public`]: publicKey}, no_ssh_fingerprints: true}
}

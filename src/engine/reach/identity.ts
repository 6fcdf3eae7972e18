import {homedir} from 'node:os'

import {type Candidate, sshCandidates} from '../../guest/ssh/candidates.ts'
import {vmFiles} from '../../model/layout.ts'
import type {SshConfig, Vm} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'

/** The name under which a VM's host key stands in its known_hosts; an address would change with the port. */
export const hostKeyAlias = (vm: Pick<Vm, 'id'>): string => `vmctl-${vm.id}`

/** By what the guest knows itself, as long as its disk is the same or comes from that one. */
export const identityOf = ({id, identity = id}: Pick<Vm, 'id' | 'identity'>): string => identity

/** Who logs in, in the settled order: asked for, `ssh { user }`, `cloud-init { user }`, the user of a well-known image, `vm`. */
export const sshUser = ({spec}: Pick<Vm, 'spec'>, asked?: string, ssh: SshConfig | undefined = spec.ssh): string =>
  asked ?? ssh?.user ?? spec.cloudInit?.user ?? spec.image.user ?? 'vm'

export interface Login {
  /** `--user` and `--key`. */
  readonly user?: string | undefined
  readonly key?: string | undefined
  /** The `ssh` block of the VMFile as it is now, when it is newer than the VM. */
  readonly ssh?: SshConfig | undefined
  /** Whether a passphrase may be asked for later, by the `ssh` program. */
  readonly canPrompt?: boolean
}

/** The keys that are tried, in the settled order. */
export const sshKeys = (engine: Engine, vm: Vm, login: Login = {}): Promise<readonly Candidate[]> =>
  sshCandidates({
    explicit: login.key,
    vmfile: (login.ssh ?? vm.spec.ssh)?.privateKeyPath,
    generated: vmFiles(vm.directory).privateKey,
    home: engine.env.HOME || homedir(),
    agentSocket: engine.env.SSH_AUTH_SOCK,
    canPrompt: login.canPrompt ?? false,
  })

import {type Candidate, publicHalf} from '../../guest/ssh/candidates.ts'
import {keepalive} from '../../guest/ssh/ssh.ts'
import {writeFileAtomic} from '../../host/files.ts'
import {ownCommand} from '../../host/own-program.ts'
import {VmctlError} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import {quote} from '../../model/quote.ts'
import type {Vm} from '../../model/vm.ts'
import {hostKeyAlias, type Login, sshKeys, sshUser} from './identity.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {requireWayIn} from '../plan/login.ts'

/** What the `ssh` program needs in order to reach a VM as strictly as vmctl does. */
export interface SshCommand {
  readonly host: string
  readonly port: number
  readonly user: string
  /** Files of the keys to offer, in this order. */
  readonly identityFiles: readonly string[]
  /** The file with the host key of the guest; absent when the key is not checked. */
  readonly knownHosts?: string
  /** Arguments up to and without the host. */
  readonly options: readonly string[]
}

export interface ShellLogin extends Login {
  /** The keys to offer, such as the one that the guest has accepted: servers allow only a few. All that are tried when absent. */
  readonly only?: readonly Candidate[] | undefined
}

/**
 * Options for the `ssh` program: pinned host key, only the keys that vmctl chose.
 */
export const sshCommand = async (engine: Engine, vm: Vm, {only, ...login}: ShellLogin = {}): Promise<SshCommand> => {
  const hypervisor = await hypervisorOf(engine, vm)
  const address = await hypervisor.sshAddress(vm, {signal: engine.signal})
  if (!address) {
    requireWayIn(vm.spec, login)
    throw new VmctlError('vmctl::ssh::failed', `The backend ${vm.backend} gives ${vm.name} no address for SSH.`)
  }
  const keys = only ?? (await sshKeys(engine, vm, {...login, canPrompt: true}))
  const identities = (await Promise.all(keys.map((key) => identityFile(vm, key, only !== undefined)))).filter((path) => path !== undefined)
  const isChecked = (login.ssh ?? vm.spec.ssh)?.hostKeyCheck !== 'off'
  const {knownHosts} = vmFiles(vm.directory)
  const option = (name: string, value: string): string[] => ['-o', `${name}=${value}`]
  return {
    host: address.host,
    port: address.port,
    user: sshUser(vm, login.user, login.ssh),
    identityFiles: identities,
    ...(isChecked && {knownHosts}),
    options: [
      ...option('HostKeyAlias', hostKeyAlias(vm)),
      ...option('StrictHostKeyChecking', isChecked ? 'yes' : 'no'),
      ...option('UserKnownHostsFile', isChecked ? quoteForSshConfig(knownHosts) : '/dev/null'),
      ...option('GlobalKnownHostsFile', '/dev/null'),
      ...option('ConnectTimeout', '30'),
      ...option('ServerAliveInterval', String(keepalive.intervalMs / 1000)),
      ...option('ServerAliveCountMax', String(keepalive.count)),
      ...(identities.length > 0 ? option('IdentitiesOnly', 'yes') : []),
      ...identities.flatMap((path) => option('IdentityFile', quoteForSshConfig(path))),
      ...(address.isRelayed ? option('ProxyCommand', relayCommand(engine, vm)) : []),
      ...['-p', String(address.port)],
    ],
  }
}

/** The command line by which `ssh` has a stream of vmctl's; `%` begins a token of ssh there. */
const relayCommand = ({store}: Engine, {name}: Vm): string =>
  [...ownCommand(), 'ssh', '--stdio', '--state-dir', store.directory, name].map((word) => quote(word).replaceAll('%', '%%')).join(' ')

/** The file by which ssh_config(5) names a key. One that only the agent has is named by its public half, which is written for that. */
const identityFile = async ({directory}: Vm, key: Candidate, isChosen: boolean): Promise<string | undefined> => {
  if (key.path !== undefined) return key.path
  const line = publicHalf(key)
  if (!isChosen || line === undefined) return undefined
  const {agentKey} = vmFiles(directory)
  await writeFileAtomic(agentKey, `${line}\n`)
  return agentKey
}

/** ssh_config(5): a value with blanks stands in double quotes, in which `\\` escapes, and `%` begins a token. */
const quoteForSshConfig = (path: string): string => `"${path.replaceAll('%', '%%').replaceAll(/["\\]/g, String.raw`\$&`)}"`

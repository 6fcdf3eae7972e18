import {requireVm} from '../../store/store.ts'
import {hostKeyAlias} from './identity.ts'
import {sshCommand} from './ssh-command.ts'
import type {Engine} from '../engine.ts'
import {isFailure} from '../../model/errors.ts'

/** How the `ssh` program reaches a VM; the `--json` shape of an element of `vmctl ssh-config`. */
export interface SshHost {
  /** Names by which `ssh` knows it, the full one first. */
  readonly names: readonly string[]
  readonly host: string
  /** The same as `host`, by the word of ssh_config(5), as the next ones. */
  readonly hostName: string
  readonly port: number
  readonly user: string
  /** The first key that is offered; absent when there is none in a file. */
  readonly identityFile?: string
  /** Absent when the host key is not checked. */
  readonly knownHosts?: string
  /** The name by which the guest stands in `knownHosts`. */
  readonly hostKeyAlias: string
  /** As a block of ssh_config(5). */
  readonly config: string
}

/** Blocks for ssh_config(5), by which ssh, scp, rsync, editors and Ansible reach VMs as strictly as vmctl does. VMs without network are left out. */
export const sshHosts = async (engine: Engine, names: readonly string[]): Promise<SshHost[]> => {
  const hosts = await Promise.all(names.map((name) => sshHost(engine, name)))
  return hosts.filter((host) => host !== undefined)
}

const sshHost = async (engine: Engine, name: string): Promise<SshHost | undefined> => {
  const vm = await requireVm(engine.store, name)
  const {project} = vm.spec
  try {
    const {host, port, user, options, identityFiles, knownHosts} = await sshCommand(engine, vm)
    const [identityFile] = identityFiles
    const known = project === undefined ? [name] : [name, name.slice(project.length + 1)]
    const settings = options.flatMap((option, index) => (option === '-o' ? [options[index + 1] ?? ''] : []))
    const lines = [`HostName ${host}`, `Port ${port}`, `User ${user}`, ...settings.map((setting) => setting.replace('=', ' '))]
    const files = {...(identityFile !== undefined && {identityFile}), ...(knownHosts !== undefined && {knownHosts})}
    return {
      names: known,
      host,
      hostName: host,
      port,
      user,
      ...files,
      hostKeyAlias: hostKeyAlias(vm),
      config: `Host ${known.join(' ')}\n${lines.map((line) => `  ${line}\n`).join('')}`,
    }
  } catch (error) {
    if (isFailure(error, 'vmctl::ssh::failed', 'vmctl::ssh::no_login')) return undefined
    throw error
  }
}

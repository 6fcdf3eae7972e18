import {requireVm} from '../../store/store.ts'
import {sshCommand} from './ssh-command.ts'
import type {Engine} from '../engine.ts'
import {isFailure} from '../../model/errors.ts'

/** How the `ssh` program reaches a VM; the `--json` shape of an element of `vmctl ssh-config`. */
export interface SshHost {
  /** Names by which `ssh` knows it, the full one first. */
  readonly names: readonly string[]
  readonly host: string
  readonly port: number
  readonly user: string
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
    const {host, port, user, options} = await sshCommand(engine, vm)
    const known = project === undefined ? [name] : [name, name.slice(project.length + 1)]
    const settings = options.flatMap((option, index) => (option === '-o' ? [options[index + 1] ?? ''] : []))
    const lines = [`HostName ${host}`, `Port ${port}`, `User ${user}`, ...settings.map((setting) => setting.replace('=', ' '))]
    return {names: known, host, port, user, config: `Host ${known.join(' ')}\n${lines.map((line) => `  ${line}\n`).join('')}`}
  } catch (error) {
    if (isFailure(error, 'vmctl::ssh::failed', 'vmctl::ssh::no_login')) return undefined
    throw error
  }
}

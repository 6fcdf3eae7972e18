import {createHash} from 'node:crypto'
import {access, readFile} from 'node:fs/promises'

import {lastLines, run, type RunResult} from '../../host/process.ts'
import {VmctlError} from '../../model/errors.ts'
import type {Vm} from '../../model/vm.ts'

/** Interface names have at most 15 characters (IFNAMSIZ - 1); this one says whose it is and is the same at every start. */
export const tapName = (vm: Vm): string => `vmctl${createHash('sha256').update(vm.id).digest('hex').slice(0, 10)}`

const ip = (args: readonly string[], signal?: AbortSignal): Promise<RunResult> =>
  run('ip', args, {
    timeoutMs: 10_000,
    signal,
    notInstalled: {code: 'vmctl::host::not_installed', help: 'Install iproute2 (Debian, Ubuntu: `sudo apt-get install iproute2`).'},
  })

/** CAP_NET_ADMIN is bit 12 of the effective capabilities (capabilities(7)). */
const mayAdministerNetwork = async (): Promise<boolean> => {
  const status = await readFile('/proc/self/status', 'utf8')
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`)
  return (effective & (1n << 12n)) !== 0n
}

/** Throws what would make a TAP on this bridge impossible, before anything is made. */
export const checkBridge = async (bridge: string): Promise<void> => {
  if (!/^[^\s/]{1,15}$/.test(bridge) || bridge === '.' || bridge === '..') {
    throw new VmctlError('vmctl::network::bridge_not_found', `"${bridge}" cannot be the name of a network interface.`)
  }
  try {
    await access(`/sys/class/net/${bridge}/bridge`)
  } catch (error) {
    throw new VmctlError('vmctl::network::bridge_not_found', `There is no bridge named ${bridge} on this computer.`, {
      cause: error,
      help: `Create it first: \`sudo ip link add ${bridge} type bridge && sudo ip link set ${bridge} up\`.`,
    })
  }
  if (!(await mayAdministerNetwork())) {
    throw new VmctlError(
      'vmctl::network::permission',
      `Attaching a VM to the bridge ${bridge} needs CAP_NET_ADMIN, which this process does not have.`,
    )
  }
}

/** Makes the VM's TAP device, owned by this user, on the bridge, and up. One that is left from a crash is made anew. */
export const createTap = async (name: string, bridge: string, signal: AbortSignal): Promise<void> => {
  await removeTap(name)
  const steps = [
    ['tuntap', 'add', 'dev', name, 'mode', 'tap', 'user', String(process.getuid?.() ?? 0)],
    ['link', 'set', 'dev', name, 'master', bridge],
    ['link', 'set', 'dev', name, 'up'],
  ]
  for (const step of steps) {
    const result = await ip(step, signal)
    if (result.exitCode !== 0) {
      await removeTap(name)
      throw new VmctlError('vmctl::network::permission', `Cannot attach a TAP device to ${bridge}: ${lastLines(result.stderr, 1)}`)
    }
  }
}

/** Removes a TAP device; nothing happens when there is none. */
export const removeTap = async (name: string): Promise<void> => {
  try {
    await access(`/sys/class/net/${name}`)
  } catch {
    return
  }
  const result = await ip(['link', 'delete', 'dev', name])
  if (result.exitCode !== 0) {
    throw new VmctlError('vmctl::network::permission', `Cannot remove the TAP device ${name}: ${lastLines(result.stderr, 1)}`)
  }
}

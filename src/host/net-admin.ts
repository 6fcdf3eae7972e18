import {access, readFile} from 'node:fs/promises'

import {VmctlError} from '../model/errors.ts'
import {run, type RunResult} from './process.ts'

/** ip(8). With `input` its commands come from there, one in a line, and the first that fails ends it. */
export const ip = (args: readonly string[], signal?: AbortSignal, input = ''): Promise<RunResult> =>
  run('ip', args, {
    timeoutMs: 10_000,
    signal,
    input,
    notInstalled: {help: 'Install iproute2 (Debian, Ubuntu: `sudo apt-get install iproute2`).'},
  })

/** CAP_NET_ADMIN is bit 12 of the effective capabilities (capabilities(7)). */
export const mayAdministerNetwork = async (): Promise<boolean> => {
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
    throw new VmctlError('vmctl::network::bridge_not_found', `There is no bridge named ${bridge} on the host.`, {
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

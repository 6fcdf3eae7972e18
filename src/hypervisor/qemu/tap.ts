import {createHash} from 'node:crypto'
import {access} from 'node:fs/promises'

import {ip} from '../../host/net-admin.ts'
import {lastLines} from '../../host/process.ts'
import {VmctlError} from '../../model/errors.ts'
import type {Vm} from '../../model/vm.ts'

/** A TAP device of a VM, and the bridge that it is to be on. */
export interface Tap {
  readonly name: string
  readonly bridge: string
  readonly mtu?: number | undefined
}

/**
 * The name of the TAP device of a VM's management interface, or of its interface on a network. Interface names have at most
 * 15 characters (IFNAMSIZ - 1); this one says whose it is and is the same at every start.
 */
export const tapName = (vm: Pick<Vm, 'id'>, network = ''): string =>
  `vmctl${createHash('sha256').update(`${vm.id}${network}`).digest('hex').slice(0, 10)}`

/** Every TAP device that a VM needs while it runs. Pure. */
export const tapsOf = (vm: Vm): Tap[] => [
  ...(vm.spec.network.type === 'tap' ? [{name: tapName(vm), bridge: vm.spec.network.bridge}] : []),
  ...(vm.attachments?.nics ?? []).flatMap(({network, link, mtu}) =>
    link.kind === 'bridge' ? [{name: tapName(vm, network), bridge: link.bridge, mtu}] : [],
  ),
]

/** Makes the VM's TAP device, owned by this user, on the bridge, and up. One that is left from a crash is made anew. */
export const createTap = async ({name, bridge, mtu}: Tap, signal: AbortSignal): Promise<void> => {
  await removeTap(name)
  const steps = [
    ['tuntap', 'add', 'dev', name, 'mode', 'tap', 'user', String(process.getuid?.() ?? 0)],
    ...(mtu === undefined ? [] : [['link', 'set', 'dev', name, 'mtu', String(mtu)]]),
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

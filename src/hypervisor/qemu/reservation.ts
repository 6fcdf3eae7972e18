import {join} from 'node:path'

import {makePrivateDirectory} from '../../host/files.ts'
import {acquireLock} from '../../host/lock.ts'
import {isAlive} from '../../host/proc.ts'
import type {Vm} from '../../model/vm.ts'
import {chooseMacAddress, choosePorts, type HeldPort, type PortChoice} from './addresses.ts'
import {forwardsOf} from './forwards.ts'
import {type QemuRuntime, readNeighbours, readRuntime, writeRuntime} from './runtime.ts'
import {tapsOf} from './tap.ts'
import {sshForward} from '../../model/port.ts'

export interface ReserveOptions extends Partial<Pick<PortChoice, 'isBinding' | 'own' | 'avoid'>> {
  readonly stateDirectory: string
  readonly signal: AbortSignal
}

/**
 * Chooses the addresses of a VM (MAC, host ports, TAP devices), or confirms the ones that it has, and records them: one VM at a
 * time, so that no two choose the same.
 */
export const reserve = async (vm: Vm, {stateDirectory, signal, ...options}: ReserveOptions): Promise<QemuRuntime> => {
  await makePrivateDirectory(join(stateDirectory, 'locks'))
  await using _lock = await acquireLock(join(stateDirectory, 'locks', 'addresses'), {
    purpose: 'choose addresses',
    timeoutMs: 30_000,
    signal,
  })
  const [own, all] = await Promise.all([readRuntime(vm.directory), readNeighbours(vm.directory)])
  // A VM that is about to replace another one (`reload`) takes over its addresses.
  const before = own ?? all.find((other) => other.name === vm.name)
  const others = all.filter((other) => other.name !== vm.name)
  const {network, ssh, ports = []} = vm.spec
  const forwards =
    network.type === 'user'
      ? await choosePorts([{...sshForward, ...(ssh?.port !== undefined && {host: ssh.port})}, ...ports], {
          isBinding: false,
          ...options,
          name: vm.name,
          last: before ? forwardsOf(before) : [],
          held: await heldBy(others),
        })
      : []
  const fixed = network.type === 'tap' ? network.mac : undefined
  const [first, ...rest] = forwards
  const runtime: QemuRuntime = {
    ...processOf(own),
    schema: 1,
    name: vm.name,
    macAddress: fixed ?? before?.macAddress ?? chooseMacAddress(new Set(others.map((other) => other.macAddress))),
    ...(first && {sshPort: first.host, ports: rest}),
    taps: tapsOf(vm).map(({name}) => name),
  }
  await writeRuntime(vm.directory, runtime)
  return runtime
}

/** What is known of the process, for this may be a VM that runs. */
const processOf = (runtime: QemuRuntime | undefined): Partial<QemuRuntime> => {
  const {sshPort: _sshPort, ports: _ports, ...rest} = runtime ?? ({} as Partial<QemuRuntime>)
  return rest
}

const heldBy = async (others: readonly QemuRuntime[]): Promise<HeldPort[]> => {
  const lists = await Promise.all(
    others.map(async (other) => {
      const isAtRest = !(other.process && (await isAlive(other.process)))
      return forwardsOf(other).map(({protocol, bind, host}) => ({protocol, bind, host, vm: other.name, isAtRest}))
    }),
  )
  return lists.flat()
}

import {join} from 'node:path'

import {makePrivateDirectory} from '../../host/files.ts'
import {acquireLock} from '../../host/lock.ts'
import type {Vm, VmSpec} from '../../model/vm.ts'
import type {Holding, OperationOptions} from '../hypervisor.ts'
import {chooseMacAddress, choosePorts, type HeldPort, type PortChoice} from './addresses.ts'
import {holdingOf, type QemuRuntime, readRuntime, writeRuntime} from './runtime.ts'
import {tapsOf} from './tap.ts'
import {type PortForward, sshForward} from '../../model/port.ts'

export interface ReserveOptions extends Partial<Pick<PortChoice, 'isBinding' | 'own' | 'avoid'>> {
  readonly stateDirectory: string
  readonly signal: AbortSignal
  readonly neighbours?: OperationOptions['neighbours'] | undefined
}

/**
 * Chooses the addresses of a VM (MAC, host ports, TAP devices), or confirms the ones that it has, and records them: one VM at a
 * time, so that no two choose the same.
 */
export const reserve = async (vm: Vm, {stateDirectory, signal, neighbours, ...options}: ReserveOptions): Promise<QemuRuntime> => {
  await makePrivateDirectory(join(stateDirectory, 'locks'))
  await using _lock = await acquireLock(join(stateDirectory, 'locks', 'addresses'), {
    purpose: 'choose addresses',
    timeoutMs: 30_000,
    signal,
  })
  const [own, held, all] = await Promise.all([readRuntime(vm.directory), holdingOf(vm.directory), neighbours?.() ?? []])
  // A VM that is about to replace another one (`reload`) takes over its addresses.
  const before = held ?? all.find((other) => other.vm === vm.name)
  const others = all.filter((other) => other.vm !== vm.name)
  const {network} = vm.spec
  const forwards =
    network.type === 'user'
      ? await choosePorts(wantedPorts(vm.spec), {
          isBinding: false,
          ...options,
          name: vm.name,
          last: before?.ports ?? [],
          held: heldBy(others),
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

const wantedPorts = ({ssh, ports = []}: VmSpec): PortForward[] => [
  {...sshForward, ...(ssh?.port !== undefined && {host: ssh.port})},
  ...ports,
]

/** What is known of the process, for this may be a VM that runs. */
const processOf = (runtime: QemuRuntime | undefined): Partial<QemuRuntime> => {
  const {sshPort: _sshPort, ports: _ports, ...rest} = runtime ?? ({} as Partial<QemuRuntime>)
  return rest
}

const heldBy = (others: readonly Holding[]): HeldPort[] =>
  others.flatMap(({vm, ports, isAtRest}) => ports.map(({protocol, bind, host}) => ({protocol, bind, host, vm, isAtRest})))

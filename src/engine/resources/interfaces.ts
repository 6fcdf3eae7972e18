import type {NetworkDriver} from '../../model/network.ts'
import type {NetworkConfig, Nic, Observation, Vm} from '../../model/vm.ts'
import {type Engine, hypervisorOf} from '../engine.ts'

/** One network interface of a VM: on a declared network, or the one by which vmctl reaches the guest. */
export interface VmInterface {
  /** Id of a declared network (`shop.default`); absent for the interface by which vmctl reaches the guest. */
  readonly network?: string
  readonly kind: NetworkDriver | NetworkConfig['type']
  /** Bridge of the host, or VNIC. */
  readonly link?: string
  readonly mac?: string
  /** IPv4: chosen by vmctl, said in the VMFile, or found in a lease or in the neighbour table of the host; absent while nobody knows it. */
  readonly ip?: string
}

/** The interfaces of a VM, those on declared networks first. Nothing is asked of the guest. */
export const interfacesOf = async (engine: Engine, vm: Vm, observation: Observation): Promise<readonly VmInterface[]> => {
  const isRunning = observation.state === 'running' || observation.state === 'suspended'
  const hypervisor = await hypervisorOf(engine, vm)
  const find = async (bridge: string | undefined, macAddress: string | undefined): Promise<{readonly ip?: string}> => {
    if (!isRunning || bridge === undefined || macAddress === undefined || !hypervisor.findAddress) return {}
    const ip = await hypervisor.findAddress({bridge, macAddress}, {signal: engine.signal})
    return ip === undefined ? {} : {ip}
  }
  const onNetwork = async (nic: Nic): Promise<VmInterface> => {
    const {network: id, mac, ip, link} = nic
    const driver = vm.spec.networks?.find(({network}) => network.id === id)?.network.driver ?? (link.kind === 'socket' ? 'mesh' : 'bridge')
    const bridge = link.kind === 'bridge' ? link.bridge : undefined
    return {
      network: id,
      kind: driver,
      ...(bridge !== undefined && {link: bridge}),
      mac,
      ...(ip === undefined ? await find(bridge, mac) : {ip}),
    }
  }
  const management = async (): Promise<VmInterface> => {
    const {network} = vm.spec
    const {macAddress: mac} = observation
    const own = mac !== undefined && network.type !== 'none' && {mac}
    if (network.type === 'vnic') return {kind: 'vnic', link: network.name, ...own}
    if (network.type !== 'tap') return {kind: network.type, ...own}
    const {bridge, ip} = network
    return {kind: 'tap', link: bridge, ...own, ...(ip === undefined ? await find(bridge, mac) : {ip})}
  }
  return Promise.all([...(vm.attachments?.nics ?? []).map(onNetwork), management()])
}

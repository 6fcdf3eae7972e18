import {networkConfig} from '../../guest/seed/network-config.ts'
import {usesNetplan} from '../../model/catalogue.ts'
import type {NetworkSpec} from '../../model/network.ts'
import type {Nic, Vm, VmSpec} from '../../model/vm.ts'
import type {Candidate} from '../../network/members.ts'
import {joinNetwork, networkProblem, nicOf} from '../../network/network.ts'
import {type NetworkRecord, type NetworkStore, networkStore, readNetwork} from '../../network/record.ts'
import {listVmNames} from '../../store/store.ts'
import {type Engine, observe} from '../engine.ts'

export const storeOf = (engine: Engine): NetworkStore => networkStore(engine.store.directory)

const candidateOf = (spec: VmSpec, id: string): Candidate => {
  const attachment = spec.networks?.find(({network}) => network.id === id)
  const service = spec.service ?? spec.name
  return {
    vm: spec.name,
    service,
    replica: spec.replica,
    hostname: spec.cloudInit?.hostname ?? (spec.replica === undefined ? service : `${service}-${spec.replica}`),
    ip: attachment?.ip,
    mac: attachment?.mac,
  }
}

/**
 * Gives VMs their addresses on the networks that they name, which makes those networks; starts nothing.
 * @param isComplete whether these are all VMs of their VMFile
 */
export const joinNetworks = async (engine: Engine, specs: readonly VmSpec[], isComplete: boolean): Promise<void> => {
  const networks = new Map(specs.flatMap(({networks: all = []}) => all.map(({network}) => [network.id, network] as const)))
  if (networks.size === 0) return
  const existing = new Set(await listVmNames(engine.store))
  for (const network of networks.values()) {
    const members = specs.filter((spec) => spec.networks?.some((attachment) => attachment.network.id === network.id))
    await joinNetwork(storeOf(engine), network, {
      candidates: members.map((spec) => candidateOf(spec, network.id)),
      isComplete,
      isGone: (vm) => !existing.has(vm),
      signal: engine.signal,
    })
  }
}

/** The networks of a VM that exist, in the order in which it names them. */
export const recordsOf = async (engine: Engine, spec: VmSpec): Promise<NetworkRecord[]> => {
  const records = await Promise.all((spec.networks ?? []).map(({network}) => readNetwork(storeOf(engine), network.id)))
  return records.filter((record) => record !== undefined)
}

/** The interfaces of a VM on its networks. What cannot be had here is refused; nothing is started. */
export const attachNetworks = async (engine: Engine, spec: VmSpec): Promise<Nic[]> => {
  if (!spec.home) await checkNetworks(spec.networks?.map(({network}) => network) ?? [])
  await joinNetworks(engine, [spec], false)
  return (await recordsOf(engine, spec)).flatMap((record) => nicOf(record, spec.name) ?? [])
}

const checkNetworks = async (networks: readonly NetworkSpec[]): Promise<void> => {
  for (const network of networks) {
    const problem = await networkProblem(network)
    if (problem) throw problem
  }
}

/** What a VM's guest is to know of its networks, as far as they exist. */
export const guestNetworks = async (
  engine: Engine,
  spec: VmSpec,
): Promise<{readonly records: readonly NetworkRecord[]; readonly nics: readonly Nic[]}> => {
  const records = await recordsOf(engine, spec)
  return {records, nics: records.flatMap((record) => nicOf(record, spec.name) ?? [])}
}

/** The network configuration that the seed of a VM carries; undefined for one that has its management interface only. */
export const seedNetworkConfig = async (engine: Engine, vm: Vm): Promise<string | undefined> => {
  const nics = vm.attachments?.nics ?? []
  const isDerived = vm.derivedFrom !== undefined
  if (nics.length === 0 && !(isDerived && vm.spec.network.type === 'tap')) return undefined
  const {macAddress} = await observe(engine, vm)
  return networkConfig({management: macAddress, nics, byNetplan: usesNetplan(vm.spec.image), isDerived})
}

import {isDeepStrictEqual} from 'node:util'

import {hostSubnets} from '../host/routes.ts'
import {meshSocket} from '../model/layout.ts'
import {formatAddress, parseSubnet} from '../model/ipv4.ts'
import type {NetworkSpec} from '../model/network.ts'
import type {Nic} from '../model/vm.ts'
import {type Bridge, bridgeName, bridgeProblem, isThere, lowerBridge, raiseBridge} from './bridge.ts'
import {lacksDnsmasq} from './dnsmasq.ts'
import {askHub, endHub, startHub} from './hub-client.ts'
import {type Candidate, seatMembers} from './members.ts'
import {
  listNetworkIds,
  type Member,
  networkDirectory,
  type NetworkRecord,
  type NetworkStore,
  readNetwork,
  readSubnets,
  removeRecord,
  sweepDirectory,
  withNetworkLock,
  writeNetwork,
  writeSubnets,
} from './record.ts'
import {chooseSubnet} from './subnets.ts'

/** Who is to be on a network. */
interface Wish {
  readonly candidates: readonly Candidate[]
  /** Whether the candidates are all that the VMFile has; who is neither among them nor exists is forgotten then. */
  readonly isComplete: boolean
  /** Whether a VM of this name does not exist. */
  readonly isGone: (vm: string) => boolean
}

/**
 * Makes a network if it does not exist, and gives the candidates their addresses on it; nothing is started. Idempotent: addresses
 * are kept for as long as the network exists.
 * @throws VmctlError `vmctl::network::subnet_taken`, `vmctl::network::address_taken`
 */
export const joinNetwork = async (
  store: NetworkStore,
  spec: NetworkSpec,
  {signal, ...wish}: Wish & {readonly signal: AbortSignal},
): Promise<NetworkRecord> => {
  const known = await readNetwork(store, spec.id)
  if (known && sameGround(known.spec, spec) && isDeepStrictEqual(seat(known, spec, wish), known)) return known
  return withNetworkLock(store, {purpose: `join the network ${spec.id}`, signal}, async () => {
    const before = await readNetwork(store, spec.id)
    const place = before && sameGround(before.spec, spec) ? before : await lay(store, spec)
    const record = seat({...place, members: before?.members ?? {}}, spec, wish)
    for (const directory of [store.directory, networkDirectory(store, spec.id)]) await sweepDirectory(directory)
    await writeNetwork(store, record)
    return record
  })
}

/** Whether addresses of the one are addresses of the other. */
const sameGround = (left: NetworkSpec, right: NetworkSpec): boolean =>
  left.driver === right.driver && left.subnet === right.subnet && left.gateway === right.gateway && left.bridgeName === right.bridgeName

/** Chooses what a network stands on. The caller holds the lock. */
const lay = async (store: NetworkStore, spec: NetworkSpec): Promise<NetworkRecord> => {
  const bridge = spec.driver === 'mesh' ? undefined : (spec.bridgeName ?? bridgeName(networkDirectory(store, spec.id)))
  const subnet = await layOut(store, spec, bridge)
  const gateway = spec.gateway ?? (subnet === undefined || spec.driver === 'external' ? undefined : firstAddress(subnet))
  return {
    schema: 1,
    spec,
    ...(subnet !== undefined && {subnet}),
    ...(gateway !== undefined && {gateway}),
    ...(bridge !== undefined && {bridge}),
    members: {},
  }
}

const firstAddress = (subnet: string): string => formatAddress((parseSubnet(subnet)?.first ?? 0) + 1)

/** Chooses the subnet among those of all networks and of the host, and remembers one that nobody has asked for. */
const layOut = async (store: NetworkStore, spec: NetworkSpec, bridge: string | undefined): Promise<string | undefined> => {
  const remembered = await readSubnets(store)
  const others = (await listNetworkIds(store)).filter((id) => id !== spec.id)
  const records = await Promise.all(others.map((id) => readNetwork(store, id).catch(() => undefined)))
  const subnet = chooseSubnet(spec, {
    networks: records.flatMap((record) =>
      record?.subnet === undefined ? [] : [{id: record.spec.id, driver: record.spec.driver, subnet: record.subnet}],
    ),
    remembered,
    host: (await hostSubnets()).filter((candidate) => candidate.interface !== bridge),
  })
  if (subnet !== undefined && spec.subnet === undefined && remembered[spec.id] !== subnet) {
    await writeSubnets(store, {...remembered, [spec.id]: subnet})
  }
  return subnet
}

const seat = (place: NetworkRecord, spec: NetworkSpec, {candidates, isComplete, isGone}: Wish): NetworkRecord => {
  const asked = new Set(candidates.map(({vm}) => vm))
  const isForgotten = (vm: string): boolean => isComplete && !asked.has(vm) && isGone(vm)
  const members = Object.fromEntries(Object.entries(place.members).filter(([vm]) => !isForgotten(vm)))
  const seats = {network: spec.name, subnet: place.subnet, gateway: place.gateway, members}
  return {...place, spec, members: seatMembers(seats, candidates, isGone)}
}

/** A member's interface as a backend and a guest take it; undefined for a VM that has not joined. Pure. */
export const nicOf = (record: NetworkRecord, vm: string): Nic | undefined => {
  const member = record.members[vm]
  if (!member) return undefined
  const {spec, bridge} = record
  return {
    network: spec.id,
    mac: member.mac,
    ...addressing(record, member),
    ...(spec.mtu !== undefined && {mtu: spec.mtu}),
    link: bridge === undefined ? {kind: 'socket', name: meshSocket(spec.id)} : {kind: 'bridge', bridge},
  }
}

const addressing = ({spec, subnet, gateway}: NetworkRecord, {ip}: Member): Pick<Nic, 'ip' | 'prefix' | 'dhcp' | 'gateway'> => {
  const prefix = subnet === undefined ? undefined : parseSubnet(subnet)?.prefix
  const dhcp = spec.driver === 'bridge' ? spec.dhcp : spec.driver === 'external' && ip === undefined
  const hasWayOut = spec.driver === 'bridge' && spec.nat && !dhcp
  return {
    ...(ip !== undefined && {ip}),
    ...(prefix !== undefined && {prefix}),
    dhcp,
    ...(hasWayOut && gateway !== undefined && {gateway}),
  }
}

/** Why a network cannot be had here, as an error to throw; undefined when it can. Makes nothing. */
export const networkProblem = (spec: NetworkSpec): Promise<Error | undefined> =>
  spec.driver === 'mesh' ? Promise.resolve(undefined) : bridgeProblem(spec)

/**
 * Makes sure that what carries a network is there: the hub of a mesh, or the bridge with its DHCP and DNS. Cheap when it is.
 * @throws VmctlError `vmctl::network::hub_failed`, `vmctl::network::permission`, `vmctl::network::failed`
 */
export const startNetwork = async (store: NetworkStore, record: NetworkRecord, signal: AbortSignal): Promise<void> => {
  const directory = networkDirectory(store, record.spec.id)
  if (record.spec.driver === 'external') return
  if (record.spec.driver === 'mesh' && (await askHub(directory, 'scan'))) return
  await withNetworkLock(store, {purpose: `start the network ${record.spec.id}`, signal}, async () => {
    if (record.spec.driver === 'mesh') {
      await startHub({directory, vmsDirectory: store.vmsDirectory}, signal)
      return
    }
    await sweepDirectory(directory)
    // Others may have joined since.
    const current = (await readNetwork(store, record.spec.id)) ?? record
    await raiseBridge(bridgeOf(store, current), signal)
  })
}

/** Ends what carries a network. Idempotent; the caller holds the lock of the networks and has made sure that no VM needs it. */
export const stopNetwork = async (store: NetworkStore, record: NetworkRecord): Promise<void> => {
  if (record.spec.driver === 'mesh') await endHub(networkDirectory(store, record.spec.id))
  if (record.spec.driver === 'bridge') await lowerBridge(bridgeOf(store, record))
}

const bridgeOf = (store: NetworkStore, record: NetworkRecord): Bridge => ({directory: networkDirectory(store, record.spec.id), record})

/** Ends and forgets a network; its subnet stays remembered unless that is to be forgotten too. The caller holds the lock. */
export const removeNetwork = async (store: NetworkStore, record: NetworkRecord, {forget}: {readonly forget: boolean}): Promise<void> => {
  await stopNetwork(store, record)
  await removeRecord(store, record.spec.id)
  if (!forget) return
  const {[record.spec.id]: _forgotten, ...rest} = await readSubnets(store)
  await writeSubnets(store, rest)
}

/** What of a network's carrier is gone, as a noun; undefined when all of it is there. A reader: changes nothing. */
export const missingCarrier = async (store: NetworkStore, record: NetworkRecord): Promise<string | undefined> => {
  if (!(await isStarted(store, record))) return record.spec.driver === 'mesh' ? 'hub' : `bridge ${record.bridge}`
  return record.spec.driver === 'bridge' && (await lacksDnsmasq(networkDirectory(store, record.spec.id), record)) ? 'dnsmasq' : undefined
}

/** Whether what carries a network is there now. A reader: changes nothing. */
export const isStarted = async (store: NetworkStore, record: NetworkRecord): Promise<boolean> =>
  record.spec.driver === 'mesh'
    ? (await askHub(networkDirectory(store, record.spec.id), 'status', 500)) !== undefined
    : isThere(record.bridge ?? '')

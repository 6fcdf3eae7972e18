import {messageOf, VmctlError} from '../../model/errors.ts'
import type {NetworkSpec} from '../../model/network.ts'
import {isStarted, missingCarrier, removeNetwork} from '../../network/network.ts'
import {listNetworkIds, type NetworkRecord, type NetworkStore, readNetwork, withNetworkLock} from '../../network/record.ts'
import {listVmNames, listVms} from '../../store/store.ts'
import type {Engine} from '../engine.ts'
import {atRest} from './carriers.ts'
import {storeOf} from './networks.ts'

/** A network as `network ls` shows it; the `--json` shape. */
export interface NetworkStatus {
  readonly id: string
  readonly name: string
  readonly driver: NetworkSpec['driver']
  readonly subnet?: string
  readonly gateway?: string
  readonly bridge?: string
  /** Whether its hub or bridge is there. */
  /** The home of its VMs; absent when they live on this host. */
  readonly home?: string
  readonly isUp: boolean
  /** What else of it should be there and is gone, while it is up. */
  readonly missing?: string
  readonly members: readonly {readonly vm: string; readonly ip?: string; readonly mac: string; readonly exists: boolean}[]
}

export interface NetworkList {
  readonly networks: readonly NetworkStatus[]
  /** Why a network could not be read, in words. */
  readonly problems: readonly string[]
}

/** All networks; a damaged one hides no other. */
export const listNetworks = async (engine: Engine): Promise<NetworkList> => {
  const store = storeOf(engine)
  const existing = new Set(await listVmNames(engine.store))
  const homes = new Map((await listVms(engine.store)).map(({name, spec}) => [name, spec.home?.name] as const))
  const problems: string[] = []
  const networks = await Promise.all(
    (await listNetworkIds(store)).map((id) =>
      readNetwork(store, id)
        .then((record) => record && statusOf(store, record, {existing, homes}))
        .catch((error: unknown) => {
          problems.push(messageOf(error))
          return undefined
        }),
    ),
  )
  return {networks: networks.filter((network) => network !== undefined), problems}
}

const statusOf = async (
  store: NetworkStore,
  record: NetworkRecord,
  {existing, homes}: {readonly existing: ReadonlySet<string>; readonly homes: ReadonlyMap<string, string | undefined>},
): Promise<NetworkStatus> => {
  const {spec, subnet, gateway, bridge, members} = record
  const home = Object.keys(members)
    .map((vm) => homes.get(vm))
    .find((one) => one !== undefined)
  // In a home the server carries it.
  const isUp = home !== undefined || (await isStarted(store, record))
  const missing = isUp && home === undefined ? await missingCarrier(store, record) : undefined
  return {
    id: spec.id,
    name: spec.name,
    driver: spec.driver,
    ...(home !== undefined && {home}),
    ...(subnet !== undefined && {subnet}),
    ...(gateway !== undefined && spec.driver !== 'mesh' && {gateway}),
    ...(bridge !== undefined && {bridge}),
    isUp,
    ...(missing !== undefined && {missing}),
    members: Object.entries(members).map(([vm, {ip, mac}]) => ({vm, ...(ip !== undefined && {ip}), mac, exists: existing.has(vm)})),
  }
}

/**
 * Ends and forgets a network, its subnet and addresses included. VMs that exist and are at rest get it anew when they start.
 * @throws VmctlError `vmctl::network::not_found`, `vmctl::network::in_use`
 */
export const removeNetworkByName = async (engine: Engine, name: string): Promise<{readonly id: string}> => {
  const store = storeOf(engine)
  const id = await findNetwork(store, name)
  return withNetworkLock(store, {purpose: `remove the network ${id}`, signal: engine.signal}, async () => {
    const record = await readNetwork(store, id)
    if (!record) throw notFound(name, [])
    const busy = await atRest(engine, record, () => removeNetwork(store, record, {forget: true}))
    if (busy !== undefined) {
      throw new VmctlError('vmctl::network::in_use', `The network ${id} is in use by ${busy}.`, {
        help: `Stop it first: \`vmctl stop ${busy}\`.`,
        details: {network: id, vm: busy},
      })
    }
    return {id}
  })
}

/** A network by its id, or by its name where only one has it. */
const findNetwork = async (store: NetworkStore, name: string): Promise<string> => {
  const ids = await listNetworkIds(store)
  if (ids.includes(name)) return name
  const [only, ...others] = ids.filter((id) => id.endsWith(`.${name}`))
  if (only === undefined) throw notFound(name, ids)
  if (others.length === 0) return only
  throw new VmctlError('vmctl::usage::invalid', `${name} may be any of ${[only, ...others].join(', ')}.`, {help: 'Say which, in full.'})
}

const notFound = (name: string, ids: readonly string[]): VmctlError =>
  new VmctlError('vmctl::network::not_found', `There is no network named ${JSON.stringify(name)}.`, {
    help: ids.length === 0 ? 'There are no networks; `vmctl up` makes those of a VMFile.' : `There are: ${ids.join(', ')}.`,
  })

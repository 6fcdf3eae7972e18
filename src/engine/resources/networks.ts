import {networkConfig} from '../../guest/seed/network-config.ts'
import type {Lock} from '../../host/lock.ts'
import {messageOf, VmctlError, isFailure} from '../../model/errors.ts'
import {usesNetplan} from '../../model/image-aliases.ts'
import type {NetworkSpec} from '../../model/stack.ts'
import {type Nic, type Observation, type Vm, type VmSpec, isAlive} from '../../model/vm.ts'
import type {Candidate} from '../../network/members.ts'
import {
  isStarted,
  joinNetwork,
  stopNetwork,
  missingCarrier,
  networkProblem,
  nicOf,
  startNetwork,
  removeNetwork,
} from '../../network/network.ts'
import {
  listNetworkIds,
  type NetworkRecord,
  type NetworkStore,
  networkStore,
  readNetwork,
  sweepNetworks,
  withNetworkLock,
} from '../../network/record.ts'
import {listVmNames, lockVm, readVm} from '../../store/store.ts'
import {type Engine, hypervisorOf, observe} from '../engine.ts'

const storeOf = (engine: Engine): NetworkStore => networkStore(engine.store.directory)

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
const recordsOf = async (engine: Engine, spec: VmSpec): Promise<NetworkRecord[]> => {
  const records = await Promise.all((spec.networks ?? []).map(({network}) => readNetwork(storeOf(engine), network.id)))
  return records.filter((record) => record !== undefined)
}

/** The interfaces of a VM on its networks. What cannot be had here is refused; nothing is started. */
export const attachNetworks = async (engine: Engine, spec: VmSpec): Promise<Nic[]> => {
  await checkNetworks(spec.networks?.map(({network}) => network) ?? [])
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
  if (nics.length === 0) return undefined
  const {macAddress} = await observe(engine, vm)
  return networkConfig({management: macAddress, nics, byNetplan: usesNetplan(vm.spec.image)})
}

/** Makes sure that what carries the networks of a VM is there, before it starts and whenever it is reached. Cheap when it is. */
export const startNetworks = async (engine: Engine, spec: VmSpec): Promise<void> => {
  for (const record of await recordsOf(engine, spec)) await startNetwork(storeOf(engine), record, engine.signal)
}

/** Like `startNetworks`, for verbs that can do their work without: a failure is told and is no failure of theirs. */
export const repairNetworks = async (engine: Engine, spec: VmSpec): Promise<void> => {
  try {
    await startNetworks(engine, spec)
  } catch (error) {
    engine.signal.throwIfAborted()
    await engine.emit({type: 'vm.notice', vm: spec.name, message: `a network of it is not there: ${messageOf(error)}`})
  }
}

/** What a VM that runs has lost meanwhile, of itself and of its networks, and how it comes back. A reader: changes nothing. */
export const troublesOf = async (engine: Engine, {spec}: Vm, {state, troubles = []}: Observation): Promise<readonly string[]> => {
  if (state !== 'running' && state !== 'suspended') return troubles
  const records = await recordsOf(engine, spec)
  const missing = await Promise.all(records.map((record) => missingCarrier(storeOf(engine), record)))
  const gone = records.flatMap(({spec: {id, driver}}, index) => {
    const what = missing[index]
    return what === undefined
      ? []
      : [`the ${what} of its network ${id} is gone${driver === 'external' ? '' : '; `vmctl up` brings it back'}`]
  })
  return [...troubles, ...gone]
}

/**
 * Ends what carries the networks that these VMs were on, as soon as no member needs it, and forgets a network that has no VM left.
 * The caller holds no VM's lock: whoever is the last to be done here finds all others at rest.
 */
export const cleanUpNetworks = async (engine: Engine, names: readonly string[]): Promise<void> => {
  const store = storeOf(engine)
  await sweepNetworks(store, engine.signal)
  for (const id of await listNetworkIds(store)) {
    const record = await readNetwork(store, id).catch(() => undefined)
    if (!record || !names.some((name) => record.members[name] !== undefined)) continue
    await withNetworkLock(store, {purpose: `tidy the network ${id}`, signal: engine.signal}, async () => {
      const current = await readNetwork(store, id)
      if (current) await atRest(engine, current, (isEmpty) => settle(store, current, isEmpty))
    })
  }
}

const settle = (store: NetworkStore, record: NetworkRecord, isEmpty: boolean): Promise<void> =>
  isEmpty ? removeNetwork(store, record, {forget: false}) : stopNetwork(store, record)

/**
 * Acts while all members of a network are at rest and kept so by their locks. A lock that somebody holds means that the VM is being
 * started or stopped; they come here themselves when they are done.
 * @returns the name of a member that is not at rest, when there is one
 */
const atRest = async (engine: Engine, record: NetworkRecord, action: (isEmpty: boolean) => Promise<void>): Promise<string | undefined> => {
  await using locks = new AsyncDisposableStack()
  const resting: Vm[] = []
  for (const name of Object.keys(record.members)) {
    const lock = await tryLock(engine, name)
    if (!lock) return name
    locks.use(lock)
    const vm = await readVm(engine.store, name).catch(() => 'damaged' as const)
    if (vm === undefined) continue
    if (vm === 'damaged' || isAlive(await observe(engine, vm))) return name
    resting.push(vm)
  }
  // What a QEMU that was killed has left, its TAP devices above all, would outlive the bridge.
  for (const vm of resting) await (await hypervisorOf(engine, vm)).stop(vm, {signal: engine.signal, timeoutMs: 0})
  await action(resting.length === 0)
  return undefined
}

const tryLock = (engine: Engine, name: string): Promise<Lock | undefined> =>
  lockVm(engine.store, name, {purpose: `tidy the networks of ${name}`, timeoutMs: 0}).catch((error: unknown) => {
    if (isFailure(error, 'vmctl::vm::locked')) return undefined
    throw error
  })

/** A network as `network ls` shows it; the `--json` shape. */
export interface NetworkStatus {
  readonly id: string
  readonly name: string
  readonly driver: NetworkSpec['driver']
  readonly subnet?: string
  readonly gateway?: string
  readonly bridge?: string
  /** Whether its hub or bridge is there. */
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
  const problems: string[] = []
  const networks = await Promise.all(
    (await listNetworkIds(store)).map((id) =>
      readNetwork(store, id)
        .then((record) => record && statusOf(store, record, existing))
        .catch((error: unknown) => {
          problems.push(messageOf(error))
          return undefined
        }),
    ),
  )
  return {networks: networks.filter((network) => network !== undefined), problems}
}

const statusOf = async (store: NetworkStore, record: NetworkRecord, existing: ReadonlySet<string>): Promise<NetworkStatus> => {
  const {spec, subnet, gateway, bridge, members} = record
  const isUp = await isStarted(store, record)
  const missing = isUp ? await missingCarrier(store, record) : undefined
  return {
    id: spec.id,
    name: spec.name,
    driver: spec.driver,
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

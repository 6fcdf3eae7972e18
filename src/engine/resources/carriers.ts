import type {Lock} from '../../host/lock.ts'
import {isFailure, messageOf} from '../../model/errors.ts'
import {isAlive, type Observation, type Vm, type VmSpec} from '../../model/vm.ts'
import {missingCarrier, removeNetwork, startNetwork, stopNetwork} from '../../network/network.ts'
import {listNetworkIds, type NetworkRecord, type NetworkStore, readNetwork, sweepNetworks, withNetworkLock} from '../../network/record.ts'
import {lockVm, readVm} from '../../store/store.ts'
import {type Engine, hypervisorOf, observe} from '../engine.ts'
import {recordsOf, storeOf} from './networks.ts'

/** Makes sure that what carries the networks of a VM is there, before it starts and whenever it is reached. Cheap when it is. */
export const startNetworks = async (engine: Engine, spec: VmSpec): Promise<void> => {
  // In a home the backend carries them.
  if (spec.home) return
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
export const problemsOf = async (engine: Engine, {spec}: Vm, {state, problems = []}: Observation): Promise<readonly string[]> => {
  if (spec.home || (state !== 'running' && state !== 'suspended')) return problems
  const records = await recordsOf(engine, spec)
  const missing = await Promise.all(records.map((record) => missingCarrier(storeOf(engine), record)))
  const gone = records.flatMap(({spec: {id, driver}}, index) => {
    const what = missing[index]
    return what === undefined
      ? []
      : [`the ${what} of its network ${id} is gone${driver === 'external' ? '' : '; `vmctl up` brings it back'}`]
  })
  return [...problems, ...gone]
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
export const atRest = async (
  engine: Engine,
  record: NetworkRecord,
  action: (isEmpty: boolean) => Promise<void>,
): Promise<string | undefined> => {
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

import {randomUUID} from 'node:crypto'
import {copyFile} from 'node:fs/promises'
import {dirname, join} from 'node:path'

import {remove} from '../../host/durable.ts'
import {makePrivateDirectory, pathExists} from '../../host/files.ts'
import {isFailure, VmctlError} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import type {Vm, VmSpec} from '../../model/vm.ts'
import {readNetwork, writeNetwork} from '../../network/record.ts'
import {type Fork, lockFork, makeFork, newForkId} from '../../store/forks.ts'
import {openStore, vmDirectory, writeVm} from '../../store/store.ts'
import {volumeFiles, volumeSerial} from '../../volume/volume.ts'
import {type Engine, observe} from '../engine.ts'
import {seedContentOf} from '../make/attach.ts'
import {writeCredentials} from '../make/seed.ts'
import {awaitHealthy} from '../reach/health.ts'
import {startNetworks} from '../resources/carriers.ts'
import {storeOf} from '../resources/networks.ts'
import {diskOfVolume, requireOwnVolumes, volumeStoreOf} from '../resources/volumes.ts'
import {requireVms, tidyUp} from '../snapshot/common.ts'
import {freeze, type Moment, newMoment} from '../snapshot/create.ts'
import {putRecordsBack} from '../snapshot/kept-files.ts'
import {startVm} from '../vm/apply.ts'
import {seedGiver} from '../vm/give-seed.ts'
import {operation} from '../vm/operation.ts'
import {forAll, lockVms} from '../vm/several.ts'
import {holdRecords, newRecords, readRecords} from '../vm/records.ts'
import {waitUntilUsable} from '../vm/usable-guest.ts'
import {requireWhole} from '../vm/whole.ts'
import {forkingBackend, notForkable} from './forkable.ts'
import {isReachable, renewGuest} from './renew-guest.ts'

export interface ForkSettings {
  readonly keep: boolean
  /** Whether guests boot from their disks, also those that run. */
  readonly diskOnly: boolean
}

/** A fork that is there, in the hands of who has made it. */
export interface OpenFork extends AsyncDisposable {
  readonly fork: Fork
  readonly engine: Engine
  /** Whether its guests go on where the others were; else they have booted. */
  readonly hasMemory: boolean
  readonly pausedMs: number
}

/**
 * Makes VMs that begin where others are, all at one instant, in a state directory of their own, and waits until they can be used. What
 * cannot be had twice is refused before anything is made; the other VMs go on as they were. Disposal lets go of the fork, which stays.
 */
export const openFork = async (engine: Engine, names: readonly string[], {keep, diskOnly}: ForkSettings): Promise<OpenFork> => {
  for (const vm of await requireVms(engine, names)) await requireForkable(engine, vm)
  const id = newForkId()
  const lock = await lockFork(engine.store, id)
  try {
    const fork = await makeFork(engine.store, {id, vms: names, keep})
    const own: Engine = {...engine, store: await openStore(fork.directory), beside: engine.store}
    const taken = await take(engine, own, {names, diskOnly})
    await begin(own, taken)
    const hasMemory = taken.moment.memories.every(Boolean)
    return {fork, engine: own, hasMemory, pausedMs: taken.moment.pausedMs, [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose]()}
  } catch (error) {
    await lock[Symbol.asyncDispose]()
    throw error
  }
}

const requireForkable = async (engine: Engine, vm: Vm): Promise<void> => {
  await forkingBackend(engine, vm)
  const {shares = [], networks = [], network} = vm.spec
  const [share] = shares
  if (share) throw notForkable(vm.name, `it shares ${share.source} with the host, which both would write to`)
  const bridged = networks.find(({network: {driver}}) => driver !== 'mesh')
  if (bridged) throw notForkable(vm.name, `it is on ${bridged.network.name}, a bridge of the host, where its address is taken`)
  if (network.type === 'tap') throw notForkable(vm.name, `it is on the bridge ${network.bridge} of the host, where its address is taken`)
  const {state} = await observe(engine, vm)
  if (state !== 'suspended') return
  throw new VmctlError('vmctl::vm::invalid_state', `VM ${vm.name} is suspended.`, {help: `Resume it first: \`vmctl resume ${vm.name}\`.`})
}

/** What was taken of the VMs: the fork of each, and where what else is known of that moment lies. */
interface Taken {
  readonly id: string
  readonly moment: Moment
  readonly pairs: readonly {readonly vm: Vm; readonly fork: Vm; readonly directory: string}[]
}

/** Takes a moment of the VMs. From here on they are let alone. */
const take = async (
  engine: Engine,
  own: Engine,
  {names, diskOnly}: {readonly names: readonly string[]; readonly diskOnly: boolean},
): Promise<Taken> => {
  await using _locks = await lockVms(engine, names, `vmctl try ${names.join(' ')}`)
  const vms = await requireVms(engine, names)
  for (const vm of vms) requireWhole(vm)
  await requireOwnVolumes(engine, vms)
  await tidyUp(engine, vms)
  const forks = vms.map((vm) => forkOf(vm, own))
  const pairs = vms.map((vm, index) => {
    const fork = forks[index] ?? vm
    return {vm, fork, directory: join(fork.directory, 'moment')}
  })
  for (const {fork} of pairs) await makePrivateDirectory(fork.directory)
  const directoryOf = ({name}: Vm): string => join(vmDirectory(own.store, name), 'moment')
  const freezeAll = async (isDiskOnly: boolean) => {
    const id = newMoment()
    return {id, moment: await freeze(engine, vms, {id, diskOnly: isDiskOnly, directoryOf})}
  }
  const frozen = await freezeAll(diskOnly).catch(async (error: unknown) => {
    if (diskOnly || !isFailure(error, 'vmctl::snapshot::unsupported')) throw error
    await engine.emit({type: 'vm.notice', message: `${error.message} The fork boots from the disks.`})
    for (const {directory} of pairs) await remove(directory)
    return freezeAll(true)
  })
  for (const {vm, fork, directory} of pairs) {
    const volumes = (vm.spec.volumes ?? []).flatMap(({volume}) => {
      const from = diskOfVolume(vm, volume.id)
      return from === undefined ? [] : [{from, to: volumeFiles(volumeStoreOf(own), volume.id).disk}]
    })
    for (const {from, to} of volumes) await bringVolume(from, to)
    const hypervisor = await forkingBackend(engine, vm)
    await hypervisor.fork(vm, fork, {...operation(own, fork), id: frozen.id, directory, memory: false, shared: true, volumes})
    await bringRecords(own, {vm, fork, directory})
    await bringNetworks(engine, own, vm.spec)
  }
  return {...frozen, pairs}
}

/** The same VM in the state directory of the fork, without the ports of the host that it may have to share. */
const forkOf = (vm: Vm, own: Engine): Vm => {
  const {failure: _failure, identity: _identity, ...kept} = vm
  const {ports, ssh} = vm.spec
  const {port: _port, ...login} = ssh ?? {}
  const spec: VmSpec = {
    ...vm.spec,
    ...(ssh && {ssh: login}),
    ...(ports && {ports: ports.map(({host: _host, ...port}) => port)}),
  }
  const disks = (vm.attachments?.disks ?? []).map((disk) => {
    const mount = vm.spec.volumes?.find(({volume}) => volumeSerial(volume.id) === disk.serial)
    return mount ? {...disk, path: volumeFiles(volumeStoreOf(own), mount.volume.id).disk} : disk
  })
  return {
    ...kept,
    id: randomUUID(),
    directory: vmDirectory(own.store, vm.name),
    spec,
    attachments: {nics: [], folders: [], ...vm.attachments, disks},
    derivedFrom: vm.name,
  }
}

const bringVolume = async (from: string, to: string): Promise<void> => {
  await makePrivateDirectory(dirname(dirname(to)))
  await makePrivateDirectory(dirname(to))
  const record = (disk: string): string => disk.replace(/\.qcow2$/, '.json')
  if (await pathExists(record(from))) await copyFile(record(from), record(to))
}

const bringRecords = async (
  own: Engine,
  {vm, fork, directory}: {readonly vm: Vm; readonly fork: Vm; readonly directory: string},
): Promise<void> => {
  await putRecordsBack(own, fork, {from: directory, like: vm})
  const [from, to] = [vmFiles(vm.directory), vmFiles(fork.directory)]
  for (const file of ['privateKey', 'publicKey'] as const) if (await pathExists(from[file])) await copyFile(from[file], to[file])
  await writeVm(fork)
}

/** A mesh of the fork is its own wire, so that addresses on it stay what they are. */
const bringNetworks = async (engine: Engine, own: Engine, {networks = []}: VmSpec): Promise<void> => {
  for (const {network} of networks) {
    const record = await readNetwork(storeOf(engine), network.id)
    if (record) await writeNetwork(storeOf(own), record)
  }
}

/** Guests go on, or boot, as others before they can reach each other. */
const begin = async (own: Engine, {id, moment, pairs}: Taken): Promise<void> => {
  const all = pairs.map((pair, index) => ({...pair, hasMemory: moment.memories[index] ?? false}))
  await forAll(all, async ({vm, fork, directory, hasMemory}) => {
    const hypervisor = await forkingBackend(own, fork)
    await hypervisor.prepare(fork, operation(own, fork))
    if (!hasMemory) {
      await remove(directory)
      await writeCredentials(fork, await seedContentOf(own, fork), seedGiver(own, fork))
      return
    }
    const restoration = await hypervisor.restore?.(fork, {...operation(own, fork), id, directory, memory: true})
    await restoration?.load()
    await restoration?.release()
    await renewGuest(own, fork, vm)
    await remove(directory)
  })
  for (const {fork} of all.filter(({hasMemory}) => hasMemory)) await startNetworks(own, fork.spec)
  await forAll(
    all.filter(({hasMemory}) => !hasMemory),
    async ({fork}) => {
      await remove(vmFiles(fork.directory).guest)
      const {journal} = await readRecords(fork.directory)
      const records = holdRecords(fork.directory, {guest: newRecords(fork.directory).guest, journal})
      await startVm(own, fork, records)
      await usable(own, fork, records)
    },
  )
}

const usable = async (own: Engine, fork: Vm, records: ReturnType<typeof newRecords>): Promise<void> => {
  if (!isReachable(fork)) return
  await waitUntilUsable(own, fork, records)
  await awaitHealthy(own, fork, fork.spec)
}

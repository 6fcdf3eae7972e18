import {randomBytes} from 'node:crypto'

import {makePrivateDirectory} from '../../host/files.ts'
import type {Checkpoint, Hypervisor} from '../../hypervisor/hypervisor.ts'
import {VmctlError} from '../../model/errors.ts'
import {isVmName} from '../../model/names.ts'
import {ownsDisks, type Vm} from '../../model/vm.ts'
import {keptIn, listSnapshots, type Snapshot, writeSnapshot} from '../../store/snapshots.ts'
import {type Engine, hypervisorOf, observe} from '../engine.ts'
import {requireOwnVolumes} from '../resources/volumes.ts'
import {stopVm} from '../vm/apply.ts'
import {operation} from '../vm/operation.ts'
import {requireWhole} from '../vm/whole.ts'
import {forAll, lockVms} from '../vm/several.ts'
import {requireVms, tidyUp} from './common.ts'
import {flushGuest} from './flush.ts'
import {keepRecords} from './kept-files.ts'

export interface CreateOptions {
  /** Whether the memory of guests that run is left out. */
  readonly diskOnly?: boolean | undefined
}

/**
 * Keeps a moment of VMs, the same one of all of them: their disks, the volumes that they may write to, and the memory of those that run.
 * Killed at any time, there is the whole snapshot or none.
 */
export const createSnapshot = async (
  engine: Engine,
  {name, vms: names}: {readonly name: string; readonly vms: readonly string[]},
  {diskOnly = false}: CreateOptions = {},
): Promise<Snapshot> => {
  if (!isVmName(name)) {
    throw new VmctlError(
      'vmctl::usage::invalid',
      `${JSON.stringify(name)} cannot be the name of a snapshot: it starts with a letter or a digit and has at most 63 of A-Z a-z 0-9 . _ - (without two dots in a row).`,
    )
  }
  await using _locks = await lockVms(engine, names, `vmctl snapshot create ${name}`)
  const vms = await requireVms(engine, names)
  await requireNewName(engine, name, names)
  for (const vm of vms) requireWhole(vm)
  await requireOwnVolumes(engine, vms)
  // What a killed command may have left of a saved guest has its disk open.
  for (const vm of vms) if (vm.saved) await stopVm(engine, vm, 0)
  await tidyUp(engine, vms)
  try {
    const id = newMoment()
    const {createdAt, pausedMs, memories} = await freeze(engine, vms, {id, diskOnly, directoryOf: (vm) => keptIn(vm, id)})
    const members = vms.map(({name: vm, id: vmId}, index) => ({vm, vmId, hasMemory: memories[index] ?? false}))
    const snapshot: Snapshot = {schema: 1, id, name, createdAt, pausedMs, members}
    await writeSnapshot(engine.store, snapshot)
    return snapshot
  } catch (error) {
    // An interrupted command leaves nothing either.
    await tidyUp({...engine, signal: new AbortController().signal}, vms)
    throw error
  }
}

const requireNewName = async (engine: Engine, name: string, names: readonly string[]): Promise<void> => {
  const all = await listSnapshots(engine.store)
  const taken = all.find((one) => one.name === name && one.members.some(({vm}) => names.includes(vm)))
  if (!taken) return
  const of = taken.members.map(({vm}) => vm).join(' and ')
  throw new VmctlError('vmctl::snapshot::name_exists', `There is a snapshot ${name} of ${of} already.`)
}

/** What a moment of VMs is called on disk. */
export const newMoment = (): string => randomBytes(6).toString('hex')

/** A moment of VMs that is on disk. */
export interface Moment {
  /** RFC 3339. */
  readonly createdAt: string
  readonly pausedMs: number
  /** Of each VM, whether the memory of its guest was kept. */
  readonly memories: readonly boolean[]
}

/** Takes a moment of VMs, each with its records in a directory. The caller holds their locks, and sees to it that no layer is left. */
export const freeze = async (
  engine: Engine,
  vms: readonly Vm[],
  {id, diskOnly, directoryOf}: {readonly id: string; readonly diskOnly: boolean; readonly directoryOf: (vm: Vm) => string},
): Promise<Moment> => {
  await using begun = new AsyncDisposableStack()
  const checkpoints: Checkpoint[] = []
  const seen = await Promise.all(vms.map((vm) => observe(engine, vm)))
  const running = seen.map(({state}) => state === 'running')
  if (diskOnly)
    await forAll(
      vms.filter((_, index) => running[index]),
      (vm) => flushGuest(engine, vm),
    )
  for (const [index, vm] of vms.entries()) {
    const directory = directoryOf(vm)
    await makePrivateDirectory(directory)
    await keepRecords(engine, vm, directory)
    const begin = await checkpointer(engine, vm)
    const checkpoint = begun.use(
      await begin(vm, {...operation(engine, vm), id, directory, memory: !diskOnly && ownsDisks(seen[index] ?? {state: 'stopped'})}),
    )
    checkpoints.push(checkpoint)
  }
  await forAll(checkpoints, (one) => one.ready())
  const began = performance.now()
  await forAll(checkpoints, (one) => one.hold())
  const createdAt = new Date().toISOString()
  await forAll(checkpoints, (one) => one.seal())
  await forAll(checkpoints, (one) => one.release())
  const pausedMs = running.includes(true) ? Math.round(performance.now() - began) : 0
  await forAll(checkpoints, (one) => one.settle())
  return {createdAt, pausedMs, memories: checkpoints.map(({hasMemory}) => hasMemory)}
}

const checkpointer = async (engine: Engine, vm: Vm): Promise<NonNullable<Hypervisor['checkpoint']>> => {
  const hypervisor = await hypervisorOf(engine, vm)
  if (hypervisor.checkpoint) return hypervisor.checkpoint.bind(hypervisor)
  throw new VmctlError('vmctl::backend::not_available', `The backend ${vm.backend} of ${vm.name} makes no snapshots.`)
}

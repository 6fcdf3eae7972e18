import type {Restoration} from '../../hypervisor/hypervisor.ts'
import {VmctlError} from '../../model/errors.ts'
import {noopBackend, type Vm} from '../../model/vm.ts'
import {keptIn, type Snapshot} from '../../store/snapshots.ts'
import {forgetSaved, removeSavedMemory} from '../../store/saved.ts'
import {writeVm} from '../../store/store.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {cleanUpNetworks, startNetworks} from '../resources/carriers.ts'
import {requireOwnVolumes} from '../resources/volumes.ts'
import {stopVm} from '../vm/apply.ts'
import {operation} from '../vm/operation.ts'
import {catchUp} from '../vm/pause.ts'
import {forAll, lockVms} from '../vm/several.ts'
import {findWanted, requireVms, tidyUp, vmOf, type Wanted} from './common.ts'
import {putRecordsBack} from './kept-files.ts'

export interface RestoreOptions {
  /** Whether guests are to boot from their disks, also where their memory was kept. */
  readonly diskOnly?: boolean | undefined
}

/** One VM that was put back; the `--json` shape of an element. */
export interface Restored {
  readonly name: string
  /** Whether the guest goes on where it was; else its VM is stopped. */
  readonly hasMemory: boolean
}

interface Work {
  readonly vm: Vm
  /** What it was, and is to be again. */
  readonly past: Vm
  readonly directory: string
  readonly hasMemory: boolean
  readonly restoration: Restoration
}

/**
 * Puts VMs back to a snapshot: what they have written since is lost. What can be refused is refused while they still run. Killed in
 * between, a VM says so when it is started, and the command can be repeated.
 */
export const restoreSnapshot = async (
  engine: Engine,
  wanted: Wanted,
  {diskOnly = false}: RestoreOptions = {},
): Promise<readonly Restored[]> => {
  const {names} = await findWanted(engine, wanted)
  await using _locks = await lockVms(engine, names, `vmctl snapshot restore ${wanted.name}`)
  const {snapshot} = await findWanted(engine, {...wanted, vms: names})
  const vms = await requireVms(engine, names)
  const works: Work[] = []
  for (const vm of vms) works.push(await prepare(engine, {vm, snapshot, diskOnly}))
  await requireOwnVolumes(
    engine,
    works.map(({past}) => past),
  )
  await forAll(works, (work) => putBack(engine, snapshot, work))
  await forAll(works, async ({past, hasMemory, restoration}) => {
    if (hasMemory) await startNetworks(engine, past.spec)
    await restoration.load()
  })
  for (const {past} of works) await writeVm(past)
  await forAll(works, ({restoration}) => restoration.release())
  await forAll(works, async ({past, hasMemory}) => {
    if (hasMemory && past.suspendedAt === undefined && past.backend !== noopBackend) await catchUp(engine, past, snapshot.createdAt)
  })
  await tidyUp(engine, vms)
  await cleanUpNetworks(engine, names)
  return works.map(({vm, hasMemory}) => ({name: vm.name, hasMemory}))
}

const prepare = async (
  engine: Engine,
  {vm, snapshot, diskOnly}: {readonly vm: Vm; readonly snapshot: Snapshot; readonly diskOnly: boolean},
): Promise<Work> => {
  const hypervisor = await hypervisorOf(engine, vm)
  if (!hypervisor.restore)
    throw new VmctlError('vmctl::backend::not_available', `The backend ${vm.backend} of ${vm.name} has no snapshots.`)
  const {failure: _failure, restoring: _restoring, vmfile: _vmfile, vmfileTraits: _traits, suspendedAt, ...kept} = await vmOf(vm, snapshot)
  const hasMemory = !diskOnly && snapshot.members.some(({vm: one, hasMemory: has}) => one === vm.name && has)
  // The file may have moved since.
  const {vmfile, vmfileTraits} = vm
  const past: Vm = {
    ...kept,
    ...(vmfile !== undefined && {vmfile}),
    ...(vmfileTraits !== undefined && {vmfileTraits}),
    ...(hasMemory && suspendedAt !== undefined && {suspendedAt}),
  }
  const directory = keptIn(vm, snapshot.id)
  const restoration = await hypervisor.restore(past, {...operation(engine, vm), id: snapshot.id, directory, memory: hasMemory})
  return {vm, past, directory, hasMemory, restoration}
}

/** Ends what runs, and puts the records back. From the mark on the VM cannot be used until the restore has come to its end. */
const putBack = async (engine: Engine, {name}: Snapshot, {vm, directory}: Work): Promise<void> => {
  // Nothing that the guest could save on its way down would be kept.
  await stopVm(engine, vm, 0)
  await writeVm({...vm, restoring: name})
  // What a saved guest had in memory belongs to what is given up.
  await forgetSaved(vm)
  await removeSavedMemory(vm)
  await putRecordsBack(engine, vm, {from: directory})
}

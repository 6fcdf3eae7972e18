import {readdir} from 'node:fs/promises'

import {remove} from '../../host/durable.ts'
import {isFailure, VmctlError} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import {suggest} from '../../model/names.ts'
import type {AttachedDisk, Vm} from '../../model/vm.ts'
import {keptIds, keptIn, listSnapshots, type Snapshot, sweepSnapshots} from '../../store/snapshots.ts'
import {readRecord, requireVm, sweepLeftovers} from '../../store/store.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {operation} from '../vm/operation.ts'

export const requireVms = (engine: Engine, names: readonly string[]): Promise<readonly Vm[]> =>
  Promise.all(names.map((name) => requireVm(engine.store, name)))

/**
 * The snapshot of that name that has one of these VMs; of all snapshots when none is named.
 * @throws VmctlError `vmctl::snapshot::not_found`
 */
const findSnapshot = async (engine: Engine, name: string, vms: readonly string[] = []): Promise<Snapshot> => {
  const all = await listSnapshots(engine.store)
  const ofVms = all.filter(({members}) => vms.length === 0 || members.some(({vm}) => vms.includes(vm)))
  const [found, ...others] = ofVms.filter((one) => one.name === name)
  if (found && others.length === 0) return found
  if (found) {
    const users = [found, ...others].map(({members}) => members.map(({vm}) => vm).join(' and '))
    throw new VmctlError('vmctl::snapshot::not_found', `Several snapshots are called ${name}: of ${users.join(', of ')}.`, {
      help: 'Name the VMs too.',
    })
  }
  const names = ofVms.map((one) => one.name)
  const of = vms.length === 0 ? '' : ` of ${vms.join(', ')}`
  throw new VmctlError('vmctl::snapshot::not_found', `There is no snapshot ${JSON.stringify(name)}${of}.`, {
    help: suggest(name, names, 'Run `vmctl snapshot ls` to see the snapshots that exist.'),
  })
}

/** A snapshot as the command line has it. */
export interface Wanted {
  readonly name: string
  /** The VMs that were named. */
  readonly vms: readonly string[]
  /** Where none was: those of the VMFile. */
  readonly scope?: readonly string[] | undefined
}

/**
 * The snapshot that is meant, and which of its VMs: all of them where none is named.
 * @throws VmctlError `vmctl::snapshot::not_found` also when one of the named VMs is not in it
 */
export const findWanted = async (
  engine: Engine,
  {name, vms, scope = []}: Wanted,
): Promise<{readonly snapshot: Snapshot; readonly names: readonly string[]}> => {
  const snapshot = await findSnapshot(engine, name, vms.length > 0 ? vms : scope)
  const all = snapshot.members.map(({vm}) => vm)
  const missing = vms.filter((vm) => !all.includes(vm))
  if (missing.length > 0) {
    throw new VmctlError(
      'vmctl::snapshot::not_found',
      `The snapshot ${name} is of ${all.join(' and ')}; ${missing.join(' and ')} has no part in it.`,
      {
        help: `Name only VMs that belong to it, or none of them: ${all.join(' ')}.`,
      },
    )
  }
  return {snapshot, names: vms.length > 0 ? vms : all}
}

/**
 * What a VM was when a snapshot was made.
 * @throws VmctlError `vmctl::snapshot::damaged`
 */
export const vmOf = async (vm: Vm, {id, name}: Pick<Snapshot, 'id' | 'name'>): Promise<Vm> => {
  try {
    const then = await readRecord(keptIn(vm, id), vm.name)
    if (then) return {...then, directory: vm.directory}
  } catch (error) {
    if (!isFailure(error, 'vmctl::vm::record_damaged')) throw error
  }
  throw new VmctlError('vmctl::snapshot::damaged', `What ${vm.name} was in the snapshot ${name} cannot be read: ${keptIn(vm, id)}.`)
}

/**
 * Removes what belongs to no snapshot: of one that was removed, or was never finished. The caller holds the locks of the VMs.
 * @returns names of the VMs that keep something of it until they are at rest
 */
export const tidyUp = async (engine: Engine, vms: readonly Vm[]): Promise<readonly string[]> => {
  await sweepSnapshots(engine.store)
  const keep = await keptIds(engine.store)
  const waiting: string[] = []
  for (const vm of vms) {
    await sweepLeftovers(engine.store, vm.name)
    const hypervisor = await hypervisorOf(engine, vm)
    const kept = await keptOf(vm)
    const left = await hypervisor.trim?.(await withAllVolumes(vm, kept), {...operation(engine, vm), keep})
    if (left !== undefined && left.length > 0) waiting.push(vm.name)
    for (const id of kept.filter((one) => !keep.includes(one))) await remove(keptIn(vm, id))
  }
  return waiting
}

/** Ids of what lies in the directories of snapshots of a VM. */
const keptOf = (vm: Vm): Promise<readonly string[]> => readdir(vmFiles(vm.directory).snapshots).catch(() => [])

/** The VM with the volumes too that only an earlier moment of it had. */
const withAllVolumes = async (vm: Vm, ids: readonly string[]): Promise<Vm> => {
  const past = await Promise.all(ids.map((id) => readRecord(keptIn(vm, id), vm.name).catch(() => undefined)))
  const disks = new Map(
    [...past, vm].flatMap((one) => (one?.attachments?.disks ?? []).map((disk): [string, AttachedDisk] => [disk.path, disk])),
  )
  return {...vm, attachments: {nics: [], folders: [], ...vm.attachments, disks: [...disks.values()]}}
}

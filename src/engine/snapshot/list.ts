import {readdir, stat} from 'node:fs/promises'
import {basename, join} from 'node:path'

import {bytesSince, layerBytes, layersOf} from '../../host/disk-layers.ts'
import type {Vm} from '../../model/vm.ts'
import {keptIn, listSnapshots, type Snapshot} from '../../store/snapshots.ts'
import {readVm, requireVm} from '../../store/store.ts'
import type {Engine} from '../engine.ts'
import {findWanted, vmOf, type Wanted} from './common.ts'

/** One snapshot in `vmctl snapshot ls`; the `--json` shape of an element. */
export interface SnapshotSummary {
  readonly name: string
  /** When the guests stood still, RFC 3339. */
  readonly createdAt: string
  /** Milliseconds for which they did; 0 when none ran. */
  readonly pausedMs: number
  readonly vms: readonly {readonly name: string; readonly hasMemory: boolean}[]
  /** What it takes on the host: the layers of disks that were written before it, memory and records. */
  readonly bytes: number
}

/** All snapshots of this user, oldest first, or those of these VMs. */
export const snapshots = async (engine: Engine, names: readonly string[] = []): Promise<readonly SnapshotSummary[]> => {
  const all = await listSnapshots(engine.store)
  const wanted = all.filter(({members}) => names.length === 0 || members.some(({vm}) => names.includes(vm)))
  return Promise.all(wanted.map((snapshot) => summaryOf(engine, snapshot)))
}

export const summaryOf = async (engine: Engine, snapshot: Snapshot): Promise<SnapshotSummary> => {
  const sizes = await Promise.all(
    snapshot.members.map(async ({vm: name}) => {
      const vm = await readVm(engine.store, name).catch(() => undefined)
      return vm ? takenBy(engine, vm, snapshot) : 0
    }),
  )
  const {name, createdAt, pausedMs, members} = snapshot
  return {
    name,
    createdAt,
    pausedMs,
    vms: members.map(({vm, hasMemory}) => ({name: vm, hasMemory})),
    bytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
  }
}

/** The disks that a VM had then, of which the backend has that of the VM itself. */
const disksOf = async (engine: Engine, vm: Vm, snapshot: Snapshot): Promise<readonly string[]> => {
  const then = await vmOf(vm, snapshot).catch(() => vm)
  const own = await engine.hypervisors.get(vm.backend)?.disk?.(vm.directory)
  const volumes = (then.attachments?.disks ?? []).flatMap(({path, readOnly}) => (readOnly ? [] : [path]))
  return [...(own?.path === undefined ? [] : [own.path]), ...volumes]
}

const takenBy = async (engine: Engine, vm: Vm, snapshot: Snapshot): Promise<number> => {
  const kept = keptIn(vm, snapshot.id)
  const files = await readdir(kept).catch(() => [])
  const sizes = await Promise.all([
    ...(await disksOf(engine, vm, snapshot)).map((disk) => layerBytes(disk, snapshot.id)),
    ...files.map((name) =>
      stat(join(kept, name)).then(
        ({blocks}) => blocks * 512,
        () => 0,
      ),
    ),
  ])
  return sizes.reduce((sum, bytes) => sum + bytes, 0)
}

/** A disk of a VM beside what it was; the `--json` shape of an element of `snapshot diff`. */
export interface DiskChange {
  readonly vm: string
  /** `disk`, or the name of the file of a volume. */
  readonly disk: string
  /** Bytes that were written since; absent when the disk has been put back to an earlier snapshot meanwhile. */
  readonly bytes?: number
}

/** What was written to the disks of a snapshot since it was made: what a restore would lose. */
export const changesSince = async (engine: Engine, wanted: Wanted): Promise<readonly DiskChange[]> => {
  const {snapshot, names} = await findWanted(engine, wanted)
  const all = await Promise.all(
    names.map(async (one) => {
      const vm = await requireVm(engine.store, one)
      const disks = await disksOf(engine, vm, snapshot)
      return Promise.all(
        disks.map(async (disk, index): Promise<DiskChange | undefined> => {
          if (!(await layersOf(disk)).includes(snapshot.id)) return undefined
          const bytes = await bytesSince(disk, snapshot.id, {signal: engine.signal})
          return {vm: one, disk: index === 0 ? 'disk' : basename(disk, '.qcow2'), ...(bytes !== undefined && {bytes})}
        }),
      )
    }),
  )
  return all.flat().filter((change) => change !== undefined)
}

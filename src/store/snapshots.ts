import {readdir} from 'node:fs/promises'
import {join} from 'node:path'

import {remove, syncDirectory} from '../host/durable.ts'
import {isTemporaryName, makePrivateDirectory, readIfExists, writeFileAtomic} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import {seal, unseal} from '../host/sealed.ts'
import {vmFiles} from '../model/layout.ts'
import type {Vm} from '../model/vm.ts'
import {listVms, type Store} from './store.ts'

/** A moment of one VM or of several at once. Its record is written last: without it there is no snapshot, whatever lies around. */
export interface Snapshot {
  readonly schema: 1
  /** 12 hexadecimal digits; layers and directories are called by it. */
  readonly id: string
  readonly name: string
  /** When the guests stood still, RFC 3339. */
  readonly createdAt: string
  /** Milliseconds for which they did. */
  readonly pausedMs: number
  readonly members: readonly SnapshotMember[]
}

export interface SnapshotMember {
  readonly vm: string
  /** That of the VM's record: another VM of that name has no part in it. */
  readonly vmId: string
  /** Whether the memory of the guest was kept. */
  readonly hasMemory: boolean
}

const directoryOf = ({directory}: Store): string => join(directory, 'snapshots')
const recordOf = (store: Store, id: string): string => join(directoryOf(store), `${id}.json`)

/** What a snapshot keeps of one VM, besides the layers of disks. */
export const keptIn = (vm: Pick<Vm, 'directory'>, id: string): string => join(vmFiles(vm.directory).snapshots, id)

/** A half-written record without a writer is told from one that is being written by this lock. */
const lockRecords = (store: Store): ReturnType<typeof acquireLock> =>
  acquireLock(join(store.lockDirectory, 'snapshots'), {purpose: 'records of snapshots', timeoutMs: 60_000})

export const writeSnapshot = async (store: Store, snapshot: Snapshot): Promise<void> => {
  await makePrivateDirectory(directoryOf(store))
  await using _lock = await lockRecords(store)
  await writeFileAtomic(recordOf(store, snapshot.id), seal(snapshot))
}

export const removeSnapshot = async (store: Store, id: string): Promise<void> => {
  await remove(recordOf(store, id))
  await syncDirectory(directoryOf(store))
}

/** All snapshots, oldest first, each with those of its VMs that still exist; one that has none of them left is no more. */
export const listSnapshots = async (store: Store): Promise<readonly Snapshot[]> => {
  const [all, vms] = await Promise.all([readAll(store), listVms(store)])
  const ids = new Set(vms.map(({id}) => id))
  return all
    .flatMap(({snapshot}) => (snapshot ? [{...snapshot, members: snapshot.members.filter(({vmId}) => ids.has(vmId))}] : []))
    .filter(({members}) => members.length > 0)
    .toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1))
}

/** The ids of which nothing may be removed: those of snapshots, and of records that cannot be read, since they may be of any VM. */
export const keptIds = async (store: Store, {except}: {readonly except?: string} = {}): Promise<readonly string[]> => {
  const [all, vms] = await Promise.all([readAll(store), listVms(store)])
  const ids = new Set(vms.map(({id}) => id).filter((id) => id !== except))
  return all.filter(({snapshot}) => !snapshot || snapshot.members.some(({vmId}) => ids.has(vmId))).map(({id}) => id)
}

/** Removes the records of snapshots whose VMs are all gone, and what a killed command has left beside them. */
export const sweepSnapshots = async (store: Store): Promise<void> => {
  const names = await readdir(directoryOf(store)).catch(() => [])
  if (names.length === 0) return
  await using _lock = await lockRecords(store)
  for (const name of names.filter(isTemporaryName)) await remove(join(directoryOf(store), name))
  const kept = new Set(await keptIds(store))
  for (const {id} of await readAll(store)) if (!kept.has(id)) await removeSnapshot(store, id)
}

const readAll = async (store: Store): Promise<readonly {readonly id: string; readonly snapshot: Snapshot | undefined}[]> => {
  const names = await readdir(directoryOf(store)).catch(() => [])
  const ids = names.flatMap((name) => /^([0-9a-f]{12})\.json$/.exec(name)?.[1] ?? [])
  return Promise.all(ids.map(async (id) => ({id, snapshot: parse((await readIfExists(recordOf(store, id))) ?? '')})))
}

const parse = (text: string): Snapshot | undefined => {
  try {
    const value = unseal(text)
    return isSnapshot(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

const isSnapshot = (value: unknown): value is Snapshot =>
  isObject(value) &&
  value.schema === 1 &&
  ['id', 'name', 'createdAt'].every((field) => typeof value[field] === 'string') &&
  typeof value.pausedMs === 'number' &&
  Array.isArray(value.members) &&
  value.members.every(
    (one) => isObject(one) && typeof one.vm === 'string' && typeof one.vmId === 'string' && typeof one.hasMemory === 'boolean',
  )

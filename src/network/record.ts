import {mkdir, readdir} from 'node:fs/promises'
import {join} from 'node:path'

import {remove, syncDirectory} from '../host/durable.ts'
import {ioError, isTemporaryName, makePrivateDirectory, readIfExists, readOwnIfExists, writeFileAtomic} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import {systemCode, VmctlError} from '../model/errors.ts'
import {networkFiles} from '../model/layout.ts'
import {isVmName} from '../model/names.ts'
import type {NetworkSpec} from '../model/network.ts'

/** Where the networks of a state directory are kept. */
export interface NetworkStore {
  /** Holds a directory for each network. */
  readonly directory: string
  /** Holds a directory for each VM, with the sockets of its interfaces. */
  readonly vmsDirectory: string
  readonly lockDirectory: string
}

/** A VM on a network. */
export interface Member {
  /** Absent where somebody else gives the addresses. */
  readonly ip?: string
  readonly mac: string
  /** Whether the VMFile says the address. */
  readonly isFixed: boolean
  readonly hostname: string
  readonly service: string
  readonly replica?: number
}

/** What is kept of a network, in `network.json`. */
export interface NetworkRecord {
  readonly schema: 1
  /** As last asked for. */
  readonly spec: NetworkSpec
  /** Absent for an existing bridge whose subnet nobody has told. */
  readonly subnet?: string
  readonly gateway?: string
  readonly bridge?: string
  /** By name in the store. */
  readonly members: Readonly<Record<string, Member>>
}

export const networkStore = (stateDirectory: string): NetworkStore => ({
  directory: join(stateDirectory, 'networks'),
  vmsDirectory: join(stateDirectory, 'vms'),
  lockDirectory: join(stateDirectory, 'locks'),
})

/** The directory of a network. The id is checked, so that none leads elsewhere; it is made of names of a VMFile. */
export const networkDirectory = (store: NetworkStore, id: string): string => {
  if (!isNetworkId(id)) throw new VmctlError('vmctl::network::not_found', `"${id}" cannot be the name of a network.`)
  return join(store.directory, id)
}

const isNetworkId = (id: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$/.test(id) && !id.includes('..')

/** One process at a time chooses addresses, and makes or ends what carries a network. */
export const withNetworkLock = async <T>(
  store: NetworkStore,
  {purpose, signal}: {readonly purpose: string; readonly signal: AbortSignal},
  action: () => Promise<T>,
): Promise<T> => {
  await makePrivateDirectory(store.lockDirectory)
  await using _lock = await acquireLock(join(store.lockDirectory, 'networks'), {purpose, timeoutMs: 60_000, signal})
  return await action()
}

/** Ids of all networks, sorted. */
export const listNetworkIds = async (store: NetworkStore): Promise<string[]> => {
  const entries = await readdir(store.directory, {withFileTypes: true}).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return []
    throw ioError('read', store.directory, error)
  })
  return entries
    .filter((entry) => entry.isDirectory() && isNetworkId(entry.name))
    .map((entry) => entry.name)
    .toSorted()
}

/**
 * Reads a network's record without a lock; it is always whole.
 * @returns undefined when there is no such network
 * @throws VmctlError `vmctl::network::record_damaged`
 */
export const readNetwork = async (store: NetworkStore, id: string): Promise<NetworkRecord | undefined> => {
  const path = networkFiles(networkDirectory(store, id)).record
  const text = readOwnIfExists(path)
  if (text === undefined) return undefined
  const record = parseRecord(text)
  if (!record) throw new VmctlError('vmctl::network::record_damaged', `The record of the network ${id} cannot be read: ${path}.`)
  return record
}

export const parseRecord = (text: string): NetworkRecord | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is NetworkRecord => {
  const record = fieldsOf(value)
  const spec = fieldsOf(record.spec)
  const members = fieldsOf(record.members)
  return (
    record.schema === 1 &&
    typeof spec.id === 'string' &&
    ['mesh', 'bridge', 'external'].includes(String(spec.driver)) &&
    ['string', 'undefined'].includes(typeof record.subnet) &&
    Object.entries(members).every(([name, member]) => isVmName(name) && typeof fieldsOf(member).mac === 'string')
  )
}

const fieldsOf = (value: unknown): Record<string, unknown> => (typeof value === 'object' && value !== null ? {...value} : {})

/** Writes a record as a whole. The caller holds the lock. */
export const writeNetwork = async (store: NetworkStore, record: NetworkRecord): Promise<void> => {
  const directory = networkDirectory(store, record.spec.id)
  await makePrivateDirectory(store.directory)
  try {
    await mkdir(directory, {mode: 0o700})
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw ioError('make the directory', directory, error)
  }
  await writeFileAtomic(networkFiles(directory).record, `${JSON.stringify(record, undefined, 2)}\n`)
}

/** Removes what is kept of a network; its carrier is gone already. The caller holds the lock. */
export const removeRecord = async (store: NetworkStore, id: string): Promise<void> => {
  const directory = networkDirectory(store, id)
  try {
    // The record first: without it a hub that is still there ends itself.
    await remove(networkFiles(directory).record)
    await remove(directory)
    await syncDirectory(store.directory)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw ioError('remove', directory, error)
  }
}

/** Removes half-written files of a killed process from a directory of networks. The caller holds the lock. */
export const sweepDirectory = async (directory: string): Promise<void> => {
  for (const entry of await readdir(directory).catch(() => [])) if (isTemporaryName(entry)) await remove(join(directory, entry))
}

/** Removes what killed processes have left of networks that are not on record: of one that was being made or forgotten. */
export const sweepNetworks = async (store: NetworkStore, signal: AbortSignal): Promise<void> => {
  if ((await leftovers(store)).length === 0) return
  await withNetworkLock(store, {purpose: 'tidy the networks', signal}, async () => {
    for (const path of await leftovers(store)) await remove(path)
  })
}

/** Only who holds the lock knows that nobody is at work on them. */
const leftovers = async (store: NetworkStore): Promise<string[]> => {
  const [entries, ids] = await Promise.all([readdir(store.directory).catch(() => []), listNetworkIds(store)])
  const texts = ids.map((id) => readOwnIfExists(networkFiles(networkDirectory(store, id)).record))
  return [...entries.filter(isTemporaryName), ...ids.filter((_, index) => texts[index] === undefined)].map((name) =>
    join(store.directory, name),
  )
}

const subnetsFile = (store: NetworkStore): string => join(store.directory, 'subnets.json')

/** The subnets that were chosen for networks, by id, also for networks that no longer exist: one that comes again gets its own back. */
export const readSubnets = async (store: NetworkStore): Promise<Readonly<Record<string, string>>> => {
  try {
    const value: unknown = JSON.parse((await readIfExists(subnetsFile(store))) ?? '{}')
    return Object.fromEntries(Object.entries(fieldsOf(value)).flatMap(([id, subnet]) => (typeof subnet === 'string' ? [[id, subnet]] : [])))
  } catch (error) {
    // A damaged file is a memory lost, no more: the networks that exist have their subnets in their own records.
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

export const writeSubnets = async (store: NetworkStore, subnets: Readonly<Record<string, string>>): Promise<void> => {
  await makePrivateDirectory(store.directory)
  await writeFileAtomic(subnetsFile(store), `${JSON.stringify(subnets, undefined, 2)}\n`)
}

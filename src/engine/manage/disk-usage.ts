import {type FileRoom, freeSpaceBytes, roomBelow} from '../../host/disk-space.ts'
import {isTemporaryName} from '../../host/files.ts'
import {isVmctlError} from '../../model/errors.ts'
import {stagedAs} from '../../store/store.ts'
import type {Engine} from '../engine.ts'
import {prunableLayers} from './prune-layers.ts'
import {prunable} from './prune.ts'

/** What takes room in the state directory. `records` is what vmctl notes, with keys, seeds and locks; `leftovers` is half-made, of commands at work or killed. */
export const usageKinds = [
  'images',
  'partial-downloads',
  'disks',
  'layers',
  'volumes',
  'logs',
  'records',
  'plugins',
  'leftovers',
  'other',
] as const

export type UsageKind = (typeof usageKinds)[number]

interface Room {
  /** Lengths, holes included. */
  readonly sizeBytes: number
  /** What is taken on the disk; a file with several names counts once. */
  readonly allocatedBytes: number
}

/** One image, VM, volume or network, as far as it has files of a kind. */
export interface UsageItem extends Room {
  readonly kind: UsageKind
  readonly name: string
}

export interface UsageSummary extends Room {
  readonly kind: UsageKind
  readonly count: number
}

/** The `--json` shape of `vmctl disk-usage`. */
export interface DiskUsage extends Room {
  readonly directory: string
  /** What this user may still write there. */
  readonly freeBytes: number
  /** What `vmctl image prune` would free; absent when nobody knows which images are in use. */
  readonly prunableBytes?: number
  /** What `vmctl prune` would free; absent when nobody knows on which layers disks stand. */
  readonly prunableLayerBytes?: number
  readonly kinds: readonly UsageSummary[]
  /** The largest first. */
  readonly items: readonly UsageItem[]
}

/** Adds up everything in the state directory. Takes no lock. */
export const diskUsage = async (engine: Engine): Promise<DiskUsage> => {
  const {directory} = engine.store
  const [files, freeBytes, prunableBytes, prunableLayerBytes] = await Promise.all([
    roomBelow(directory),
    freeSpaceBytes(directory),
    ifKnown(prunable(engine, {})),
    ifKnown(prunableLayers(engine, {})),
  ])
  const placed = files.map((file) => ({...placeOf(file.path), ...ownRoom(file)}))
  const items = [...Map.groupBy(placed, ({kind, name}) => `${kind} ${name}`).values()]
    .flatMap(([first, ...more]) => (first ? [{kind: first.kind, name: first.name, ...total([first, ...more])}] : []))
    .toSorted((one, other) => other.allocatedBytes - one.allocatedBytes || one.name.localeCompare(other.name))
  return {
    directory,
    freeBytes,
    ...(prunableBytes !== undefined && {prunableBytes}),
    ...(prunableLayerBytes !== undefined && {prunableLayerBytes}),
    ...total(items),
    kinds: usageKinds.flatMap((kind) => {
      const some = items.filter((item) => item.kind === kind)
      return some.length === 0 ? [] : [{kind, count: some.length, ...total(some)}]
    }),
    items,
  }
}

const total = (rooms: readonly Room[]): Room => ({
  sizeBytes: rooms.reduce((sum, {sizeBytes}) => sum + sizeBytes, 0),
  allocatedBytes: rooms.reduce((sum, {allocatedBytes}) => sum + allocatedBytes, 0),
})

/** A shared file has a second name in its VM's directory, and is the user's all the same. */
const ownRoom = ({path, sizeBytes, allocatedBytes, isSharedOutside}: FileRoom): Room =>
  isSharedOutside && /^vms\/[^/]+\/shares\//.test(path) ? {sizeBytes: 0, allocatedBytes: 0} : {sizeBytes, allocatedBytes}

const ifKnown = async (plan: Promise<{readonly freedBytes: number}>): Promise<number | undefined> => {
  try {
    return (await plan).freedBytes
  } catch (error) {
    if (!isVmctlError(error)) throw error
    return undefined
  }
}

/** What a file is of, and whose it is. */
const placeOf = (path: string): Pick<UsageItem, 'kind' | 'name'> => {
  const [room = '', owner = '', ...rest] = path.split('/')
  const file = rest.at(-1) ?? owner
  if (isTemporaryName(file) || stagedAs(owner) !== undefined) return {kind: 'leftovers', name: owner}
  const place = places[room]
  return place ? place(owner, file) : {kind: path === '' || room.endsWith('.json') ? 'records' : 'other', name: room || 'state directory'}
}

/** By the first directory of a path. */
const places: Readonly<Record<string, (owner: string, file: string) => Pick<UsageItem, 'kind' | 'name'>>> = {
  images: (owner, file) => {
    if (owner.startsWith('sha256-')) return {kind: 'images', name: owner}
    return owner === 'partial' && file !== owner ? {kind: 'partial-downloads', name: owner} : {kind: 'records', name: 'images'}
  },
  vms: (owner, file) => ({kind: kindOf(file, {disk: 'disks'}), name: owner || 'vms'}),
  volumes: (owner, file) => {
    const kind = kindOf(file, {disk: 'volumes'})
    return {kind, name: kind === 'volumes' ? `${owner}.${file.replace(/\.qcow2$/, '')}` : 'volumes'}
  },
  layers: (owner) => (owner.endsWith('.qcow2') ? {kind: 'layers', name: owner.replace(/\.qcow2$/, '')} : {kind: 'records', name: 'layers'}),
  networks: (owner, file) => ({kind: kindOf(file, {}), name: owner || 'networks'}),
  locks: () => ({kind: 'records', name: 'locks'}),
  plugins: (owner) => ({kind: 'plugins', name: owner || 'plugins'}),
}

const kindOf = (file: string, {disk = 'records'}: {readonly disk?: UsageKind}): UsageKind => {
  if (file.endsWith('.qcow2')) return disk
  return /\.(?:log|index)$/.test(file) ? 'logs' : 'records'
}

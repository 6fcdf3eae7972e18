import {readdir, stat, utimes} from 'node:fs/promises'
import {join} from 'node:path'

import {remove, syncDirectory} from '../host/durable.ts'
import {isTemporaryName, makePrivateDirectory, readIfExists, writeFileAtomic} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import {seal, unseal} from '../host/sealed.ts'
import type {Store} from './store.ts'

/** A step whose result is in a layer. */
export interface LayerStep {
  readonly title: string
  /** Absent when it is not known how long it took. */
  readonly durationMs?: number
}

/**
 * What the disk of a VM was after a provision step: a qcow2 file that nothing writes to, on top of other layers and at last of an image.
 * The record is written last: a file that no record names is no layer, though a disk may stand on it.
 */
export interface Layer {
  readonly schema: 1
  /** Of the image and of all that was done to it; 32 hexadecimal digits. */
  readonly hash: string
  /** What its file is called: 12 hexadecimal digits. */
  readonly id: string
  /** The files that it reads through to, the next one first. */
  readonly below: readonly string[]
  /** Path of the image at the bottom. */
  readonly image: string
  /** RFC 3339. */
  readonly createdAt: string
  /** The VM that has run the last of its steps. */
  readonly vm: string
  /** By what its guest knows itself: that one may go on as the same machine. */
  readonly identity: string
  /** Hash of what only a first boot sets up anew: the networks, the name of the host. */
  readonly place: string
  /** What the guest was given of its stack, hashed, by part, as in the record of the guest. */
  readonly setup?: Readonly<Record<string, string>>
  /** All that it has the results of, in their order. */
  readonly steps: readonly LayerStep[]
}

export const layersDirectory = ({directory}: Pick<Store, 'directory'>): string => join(directory, 'layers')

export const layerFile = (store: Pick<Store, 'directory'>, id: string): string => join(layersDirectory(store), `layer-${id}.qcow2`)

const recordFile = (store: Pick<Store, 'directory'>, hash: string): string => join(layersDirectory(store), `${hash}.json`)

/** Held by who makes or removes a layer, or makes a disk on one: what stands on what does not change meanwhile. */
export const lockLayers = (store: Store, purpose: string, signal?: AbortSignal): ReturnType<typeof acquireLock> =>
  acquireLock(join(store.lockDirectory, 'layers'), {purpose, timeoutMs: 60_000, signal})

export const makeLayersDirectory = (store: Store): Promise<void> => makePrivateDirectory(layersDirectory(store))

/** The layer of that hash, if its file is there too. */
export const readLayer = async (store: Store, hash: string): Promise<Layer | undefined> => {
  const layer = parse((await readIfExists(recordFile(store, hash))) ?? '')
  if (layer?.hash !== hash) return undefined
  return (await sizeOf(layerFile(store, layer.id))) === undefined ? undefined : layer
}

/** Also in place of another layer of that hash, whose file belongs to none from then on. */
export const writeLayer = async (store: Store, layer: Layer): Promise<void> => {
  await writeFileAtomic(recordFile(store, layer.hash), seal(layer))
}

/** Notes that a layer is in use until now: the time of its record is that of the last use. Never fails. */
export const noteLayerUse = async (store: Store, {hash}: Pick<Layer, 'hash'>): Promise<void> => {
  const now = new Date()
  await utimes(recordFile(store, hash), now, now).catch(() => undefined)
}

/** A file of the directory of layers. */
export interface StoredLayer {
  readonly id: string
  /** What it takes on the disk. */
  readonly bytes: number
  /** When it was last used, in milliseconds since 1970. */
  readonly usedMs: number
  /** Absent for a file that no record names. */
  readonly layer?: Layer
}

/** All files of layers, those used last first. */
export const listLayers = async (store: Store): Promise<readonly StoredLayer[]> => {
  const names = await readdir(layersDirectory(store)).catch(() => [])
  const records = await Promise.all(
    names.flatMap((name) => {
      const [, hash] = /^([0-9a-f]{32})\.json$/.exec(name) ?? []
      return hash === undefined ? [] : [readLayer(store, hash)]
    }),
  )
  const layers = new Map(records.flatMap((layer) => (layer ? [[layer.id, layer] as const] : [])))
  const ids = names.flatMap((name) => /^layer-([0-9a-f]{12})\.qcow2$/.exec(name)?.[1] ?? [])
  const all = await Promise.all(
    ids.map(async (id): Promise<readonly StoredLayer[]> => {
      const file = await sizeOf(layerFile(store, id))
      const layer = layers.get(id)
      const record = layer && (await sizeOf(recordFile(store, layer.hash)))
      return file ? [{id, bytes: file.bytes, usedMs: (record ?? file).modifiedMs, ...(layer && {layer})}] : []
    }),
  )
  return all.flat().toSorted((one, other) => other.usedMs - one.usedMs)
}

/** Removes a layer on which nothing stands; the record goes first. */
export const removeLayer = async (store: Store, {id, layer}: StoredLayer): Promise<void> => {
  if (layer) {
    await remove(recordFile(store, layer.hash))
    await syncDirectory(layersDirectory(store))
  }
  await remove(layerFile(store, id))
}

/** Removes what a killed command has left of records. The caller holds the lock. */
export const sweepLayerRecords = async (store: Store): Promise<void> => {
  for (const name of await readdir(layersDirectory(store)).catch(() => []))
    if (isTemporaryName(name)) await remove(join(layersDirectory(store), name))
}

const sizeOf = (path: string): Promise<{readonly bytes: number; readonly modifiedMs: number} | undefined> =>
  stat(path).then(
    ({blocks, mtimeMs}) => ({bytes: blocks * 512, modifiedMs: mtimeMs}),
    () => undefined,
  )

const parse = (text: string): Layer | undefined => {
  try {
    const value = unseal(text)
    return isLayer(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

const isLayer = (value: unknown): value is Layer =>
  isObject(value) &&
  value.schema === 1 &&
  ['hash', 'id', 'image', 'createdAt', 'vm', 'identity', 'place'].every((field) => typeof value[field] === 'string') &&
  /^[0-9a-f]{12}$/.test(String(value.id)) &&
  Array.isArray(value.below) &&
  value.below.every((id) => typeof id === 'string') &&
  (value.setup === undefined || (isObject(value.setup) && Object.values(value.setup).every((hash) => typeof hash === 'string'))) &&
  Array.isArray(value.steps) &&
  value.steps.every((step) => isObject(step) && typeof step.title === 'string' && ['number', 'undefined'].includes(typeof step.durationMs))

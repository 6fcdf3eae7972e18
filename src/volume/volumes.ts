import {readdir, rmdir} from 'node:fs/promises'
import {basename, join} from 'node:path'

import {diskBytes, isLayerName, nextPath, removeLayers} from '../host/disk-layers.ts'
import {remove, rename, syncDirectory} from '../host/durable.ts'
import {ioError, isTemporaryName, makePrivateDirectory, readOwnIfExists, writeFileAtomic, pathExists} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import {createDisk, growImage, imageInfo} from '../host/qemu-img.ts'
import {isVmctlError, systemCode, VmctlError} from '../model/errors.ts'
import {formatSize} from '../model/quantity.ts'
import type {VolumeSpec} from '../model/storage.ts'
import {isVolumeId, splitId, type Volume, type VolumeFiles, volumeFiles, volumeLabel, volumeSerial, type VolumeStore} from './volume.ts'

/** What is written beside a volume's disk; the disk itself knows its size. */
interface VolumeRecord {
  readonly schema: 1
  readonly id: string
  readonly filesystem: VolumeSpec['filesystem']
  readonly label: string
  readonly createdAt: string
}

export interface VolumeOptions {
  readonly signal: AbortSignal
  /** Told what was asked for and is not done. */
  readonly notify?: (message: string) => void
  /** A disk, in the same file system, which becomes that of the volume when there is none. */
  readonly content?: string
}

/**
 * Makes a volume when there is none, and grows one that is smaller than it should be and not in use. Never shrinks one, and never
 * touches what is on it.
 * @returns the path of its disk
 * @throws VmctlError `vmctl::volume::mismatch`, `vmctl::volume::creation_failed`, `vmctl::image::no_space`
 */
export const ensureVolume = async (store: VolumeStore, spec: VolumeSpec, options: VolumeOptions): Promise<string> => {
  if (!isVolumeId(spec.id)) throw new VmctlError('vmctl::volume::not_found', `"${spec.id}" cannot be the name of a volume.`)
  const files = volumeFiles(store, spec.id)
  await using _lock = await lockVolumes(store, spec.id, options)
  await makePrivateDirectory(files.directory)
  await sweep(files)
  if (!(await pathExists(files.disk))) {
    // The record first: a disk without one would have lost its file system's name.
    await writeRecord(files.record, spec)
    if (options.content === undefined || !(await pathExists(options.content))) {
      await createDisk(files.disk, spec.sizeBytes, options)
      return files.disk
    }
    await rename(options.content, files.disk)
    await syncDirectory(files.directory)
  }
  requireSameFilesystem(await readRecord(files.record), spec)
  await resize(files.disk, spec, options)
  return files.disk
}

/** One lock for all: a volume is made in moments, and the directory of a scope comes and goes with its volumes. */
const lockVolumes = (store: VolumeStore, id: string, {signal}: Pick<VolumeOptions, 'signal'>): ReturnType<typeof acquireLock> =>
  acquireLock(join(store.lockDirectory, 'volumes'), {purpose: `volume ${id}`, timeoutMs: 60_000, signal})

/** Removes what a killed vmctl has left of making this volume. */
const sweep = async ({directory, disk, record}: VolumeFiles): Promise<void> => {
  for (const {name} of await entriesOf(directory)) {
    const isOurs = [disk, nextPath(disk), record].some((path) => name.startsWith(`.${basename(path)}.`))
    if (isOurs && isTemporaryName(name)) await remove(join(directory, name))
  }
}

const writeRecord = (path: string, spec: VolumeSpec): Promise<void> => {
  const record: VolumeRecord = {
    schema: 1,
    id: spec.id,
    filesystem: spec.filesystem,
    label: volumeLabel(spec),
    createdAt: new Date().toISOString(),
  }
  return writeFileAtomic(path, `${JSON.stringify(record, undefined, 2)}\n`)
}

const requireSameFilesystem = (record: VolumeRecord | undefined, {name, filesystem}: VolumeSpec): void => {
  if (!record || record.filesystem === filesystem) return
  throw new VmctlError(
    'vmctl::volume::mismatch',
    `The volume ${name} was made with the file system ${record.filesystem}; the VMFile asks for ${filesystem}.`,
    {details: {volume: record.id, filesystem: record.filesystem, wanted: filesystem}},
  )
}

const resize = async (path: string, {name, sizeBytes}: VolumeSpec, {signal, notify}: VolumeOptions): Promise<void> => {
  const {virtualSizeBytes} = await imageInfo(path, {signal, format: 'qcow2'})
  // qcow2 counts in sectors.
  if (sizeBytes > virtualSizeBytes) {
    await growImage(path, sizeBytes, {signal}).catch((error: unknown) => {
      if (!isLocked(error)) throw error
      notify?.(`the volume ${name} is in use; it grows to ${formatSize(sizeBytes)} when a VM that uses it starts and no other does`)
    })
  } else if (virtualSizeBytes - sizeBytes >= 512) {
    notify?.(`the volume ${name} has ${formatSize(virtualSizeBytes)} and never shrinks; the VMFile asks for ${formatSize(sizeBytes)}`)
  }
}

/** What qemu-img says of an image that a QEMU has open for writing, or for reading what would be written. */
const isLocked = (error: unknown): boolean => isVmctlError(error) && /Failed to get .*lock/.test(error.message)

/** The ids of all volumes, without looking at any disk. */
export const volumeIds = async (store: VolumeStore): Promise<readonly string[]> => {
  const scopes = (await entriesOf(store.directory)).filter((entry) => entry.isDirectory())
  const ids = await Promise.all(
    scopes.map(async (scope) =>
      (await entriesOf(join(store.directory, scope.name)))
        .filter((entry) => entry.isFile() && entry.name.endsWith('.qcow2') && !isTemporaryName(entry.name) && !isLayerName(entry.name))
        .map((entry) => `${scope.name}.${entry.name.slice(0, -'.qcow2'.length)}`),
    ),
  )
  return ids.flat().filter(isVolumeId)
}

/** All volumes, sorted by id. */
export const listVolumes = async (store: VolumeStore, options: Pick<VolumeOptions, 'signal'>): Promise<Volume[]> => {
  const volumes = await Promise.all((await volumeIds(store)).map((id) => readVolume(store, id, options)))
  return volumes.filter((volume) => volume !== undefined).toSorted((left, right) => (left.id < right.id ? -1 : 1))
}

/** One volume; undefined when there is none of that id. */
export const readVolume = async (store: VolumeStore, id: string, {signal}: Pick<VolumeOptions, 'signal'>): Promise<Volume | undefined> => {
  if (!isVolumeId(id)) return undefined
  const files = volumeFiles(store, id)
  if (!(await pathExists(files.disk))) return undefined
  const [record, info] = await Promise.all([readRecord(files.record), imageInfo(files.disk, {signal, format: 'qcow2'})])
  return {
    id,
    ...splitId(id),
    path: files.disk,
    // A disk that somebody has put here: what is on it is for the guest to find out.
    filesystem: record?.filesystem ?? 'none',
    label: record?.label ?? '',
    serial: volumeSerial(id),
    sizeBytes: info.virtualSizeBytes,
    allocatedBytes: await diskBytes(files.disk),
    createdAt: record?.createdAt ?? '',
  }
}

/** Removes a volume with everything on it. Nothing happens when there is none. The caller knows that nothing uses it. */
export const removeVolume = async (store: VolumeStore, id: string, options: Pick<VolumeOptions, 'signal'>): Promise<void> => {
  if (!isVolumeId(id)) return
  const files = volumeFiles(store, id)
  if (!(await pathExists(files.directory))) return
  await using _lock = await lockVolumes(store, id, options)
  await sweep(files)
  // The disk first: without it there is no volume, whatever else is left.
  await remove(files.disk)
  await removeLayers(files.disk)
  await remove(files.record)
  await syncDirectory(files.directory)
  await rmdir(files.directory).catch((error: unknown) => {
    if (!['ENOTEMPTY', 'ENOENT', 'EEXIST'].includes(systemCode(error) ?? '')) throw ioError('remove', files.directory, error)
  })
}

const filesystems: readonly unknown[] = ['ext4', 'xfs', 'none'] satisfies VolumeSpec['filesystem'][]

/** What was written when the volume was made; undefined when it is missing or damaged, which only costs what it says. */
const readRecord = async (path: string): Promise<VolumeRecord | undefined> => {
  const text = readOwnIfExists(path)
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is VolumeRecord =>
  typeof value === 'object' &&
  value !== null &&
  'id' in value &&
  typeof value.id === 'string' &&
  'filesystem' in value &&
  filesystems.includes(value.filesystem) &&
  'label' in value &&
  typeof value.label === 'string' &&
  'createdAt' in value &&
  typeof value.createdAt === 'string'

const entriesOf = (path: string) =>
  readdir(path, {withFileTypes: true}).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return []
    throw ioError('read', path, error)
  })

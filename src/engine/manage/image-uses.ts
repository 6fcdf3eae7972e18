import {basename} from 'node:path'

import {isLayerName} from '../../host/disk-layers.ts'
import {readHead} from '../../image/audit.ts'
import {disksOfBuild} from '../../image/cached-build.ts'
import {parseQcow2Header} from '../../image/qcow2-header.ts'
import type {ImageUse} from '../../image/uses.ts'
import {isVmctlError, systemCode, VmctlError} from '../../model/errors.ts'
import {listLayers} from '../../store/layers.ts'
import {listVmNames, lockCopies, lockVm, readRecord, stagedAs, vmDirectories, vmDirectory} from '../../store/store.ts'
import type {Engine} from '../engine.ts'
import {lockedDigests, lockPath} from '../lock.ts'
import {volumeDisks} from '../resources/volumes.ts'

/**
 * Everything that keeps images in the cache. Whoever comes to use them is a line here. They are asked in this order: a VM that gets
 * its name meanwhile is among the new ones or among those that are made, and never among neither.
 */
const users: readonly ((engine: Engine) => Promise<readonly ImageUse[]>)[] = [
  (engine) => usesOfNewVms(engine),
  (engine) => usesOfVms(engine),
  (engine) => usesOfVolumes(engine),
  (engine) => usesOfLocks(engine),
  (engine) => usesOfLayers(engine),
]

/**
 * What uses images now. Asked under the lock of the cache before anything is removed.
 * @throws VmctlError `vmctl::vm::record_damaged` when a VM may stand on any image; of a lock file that cannot be read
 */
export const imageUses = async (engine: Engine): Promise<readonly ImageUse[]> => {
  const uses: ImageUse[] = []
  for (const usesOf of users) uses.push(...(await usesOf(engine)))
  return uses
}

/** The same for people: a VM of which nobody knows the image, or a lock that cannot be read, is a notice. */
export const knownUses = async (engine: Engine): Promise<readonly ImageUse[]> => {
  try {
    return await imageUses(engine)
  } catch (error) {
    if (!isVmctlError(error)) throw error
    await engine.emit({type: 'vm.notice', message: error.message})
    return (await Promise.all(users.map((usesOf) => usesOf(engine).catch(() => [])))).flat()
  }
}

const usesOfVms = async (engine: Engine): Promise<readonly ImageUse[]> =>
  (
    await Promise.all(
      (await listVmNames(engine.store)).map((name) => usesIn(engine, {directory: vmDirectory(engine.store, name), name, isWhole: true})),
    )
  ).flat()

/** VMs that are just being made or copied. What a killed vmctl has left of one uses nothing: the lock of its name is free. */
const usesOfNewVms = async (engine: Engine): Promise<readonly ImageUse[]> => {
  const uses: ImageUse[] = []
  for (const directory of await vmDirectories(engine.store)) {
    const staged = stagedAs(basename(directory))
    if (!staged || !(await isAtWork(engine, staged))) continue
    uses.push(...(await usesIn(engine, {directory, name: staged.name, isWhole: false})))
  }
  return uses
}

const isAtWork = async ({store}: Engine, {kind, name}: NonNullable<ReturnType<typeof stagedAs>>): Promise<boolean> => {
  const lock = kind === 'copy' ? lockCopies : lockVm
  try {
    await using _lock = await lock(store, name, {purpose: 'looking whether anybody makes it', timeoutMs: 0})
    return false
  } catch (error) {
    if (!isVmctlError(error)) throw error
    return true
  }
}

interface Place {
  readonly directory: string
  readonly name: string
  /** Whether it has been made, so that something must tell which image it stands on. */
  readonly isWhole: boolean
}

/**
 * The images that a VM stands on: the one that its record names, and the one that its disk names, since either may be damaged.
 * @throws VmctlError `vmctl::vm::record_damaged` when neither tells, so that it may be any image
 */
const usesIn = async (engine: Engine, {directory, name, isWhole}: Place): Promise<ImageUse[]> => {
  const record = await readRecord(directory, name).catch(() => undefined)
  const disk = await diskOf(engine, directory)
  const backingFile = await baseBelow(disk)
  if (isWhole && !record && disk && backingFile === undefined) {
    throw new VmctlError('vmctl::vm::record_damaged', `Neither the record nor the disk of the VM ${name} tells which image it stands on.`, {
      help: `No image is removed as long as it may be the one. Repair the record, or remove the VM with \`vmctl destroy ${name}\`.`,
      details: {vm: name},
    })
  }
  const paths = new Set([record?.base.path, backingFile].filter((path) => path !== undefined))
  return [...paths].map((path) => ({kind: 'vm', name, path, ...(disk && {allocatedBytes: disk.allocatedBytes})}))
}

/** The beginning of the disk that a VM has on the host. Without its record it may be that of any backend. */
const diskOf = async (
  engine: Engine,
  directory: string,
): Promise<(Awaited<ReturnType<typeof readHead>> & {readonly allocatedBytes: number}) | undefined> => {
  const disks = await Promise.all([...engine.hypervisors.values()].map(async (hypervisor) => hypervisor.disk?.(directory)))
  const known = new Map(disks.flatMap((disk) => (disk?.path === undefined ? [] : [[disk.path, disk.bytes] as const])))
  for (const [path, allocatedBytes] of known) {
    const disk = await readHead(path).catch(ifThere)
    if (disk) return {...disk, allocatedBytes}
  }
  return undefined
}

/** The image below a disk and its layers; undefined when there is none, or a layer does not tell. */
const baseBelow = async (
  disk: Pick<Awaited<ReturnType<typeof readHead>>, 'head' | 'fileBytes'> | undefined,
): Promise<string | undefined> => {
  const backingFile = disk && parseQcow2Header(disk.head, disk.fileBytes)?.backingFile
  if (backingFile === undefined || !isLayerName(backingFile)) return backingFile
  return baseBelow(await readHead(backingFile).catch(ifThere))
}

/** A VM without a disk has nothing to lose. */
const ifThere = (error: unknown): undefined => {
  if (!isVmctlError(error) || systemCode(error.cause) !== 'ENOENT') throw error
}

/**
 * The builds that are locked for the VMFiles of the VMs that there are. They may go when they are named, and stay when nobody names them.
 * @throws VmctlError `vmctl::vmfile::parse_failed`, `vmctl::vmfile::validation` for a lock file that does not tell
 */
const usesOfLocks = async (engine: Engine): Promise<readonly ImageUse[]> => {
  const names = await listVmNames(engine.store)
  const records = await Promise.all(names.map((name) => readRecord(vmDirectory(engine.store, name), name).catch(() => undefined)))
  const uses = [...new Set(records.flatMap((record) => record?.vmfile ?? []))].map(async (vmfile): Promise<readonly ImageUse[]> => {
    const digests = await lockedDigests(vmfile)
    const paths = await Promise.all(digests.map((one) => disksOfBuild(engine.images, one)))
    return paths.flat().map((path) => ({kind: 'lock', name: lockPath(vmfile), path}))
  })
  return (await Promise.all(uses)).flat()
}

/** The images on which layers of provision steps stand at last: they stay when nobody names them, as those of locks. */
const usesOfLayers = async ({store}: Engine): Promise<readonly ImageUse[]> =>
  (await listLayers(store)).flatMap(({id, bytes, layer}) =>
    layer ? [{kind: 'layer', name: id, path: layer.image, allocatedBytes: bytes} as const] : [],
  )

/** Volumes stand by themselves, but one that the user has put there may not. */
const usesOfVolumes = async (engine: Engine): Promise<readonly ImageUse[]> => {
  const uses = await Promise.all(
    (await volumeDisks(engine)).map(async ({id, path}): Promise<readonly ImageUse[]> => {
      const disk = await readHead(path).catch(ifThere)
      const backingFile = await baseBelow(disk)
      return backingFile === undefined ? [] : [{kind: 'volume', name: id, path: backingFile}]
    }),
  )
  return uses.flat()
}

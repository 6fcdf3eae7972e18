import {join} from 'node:path'

import {trimLayers} from '../../host/disk-layers.ts'
import {VmctlError} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import {suggest} from '../../model/names.ts'
import {type AttachedDisk, ownsDisks, type Vm, type VmSpec} from '../../model/vm.ts'
import {keptIds} from '../../store/snapshots.ts'
import {listVmNames, listVms, readVm} from '../../store/store.ts'
import {type Volume, volumeFiles, volumeSerial, type VolumeStore} from '../../volume/volume.ts'
import {ensureVolume, listVolumes, readVolume, removeVolume, volumeIds} from '../../volume/volumes.ts'
import {type Engine, observe} from '../engine.ts'

/** One volume in `vmctl volume ls`; the `--json` shape of an element. */
export interface VolumeSummary extends Volume {
  /** VMs that exist and use it, as of their last `up`. */
  readonly users: readonly VolumeUser[]
}

export interface VolumeUser {
  readonly vm: string
  readonly readOnly: boolean
  /** In the guest; absent for a volume without a file system. */
  readonly target?: string
}

export const volumeStoreOf = ({store}: Engine): VolumeStore => ({
  directory: join(store.directory, 'volumes'),
  lockDirectory: store.lockDirectory,
})

/**
 * The disks of a VM's volumes, made or grown as need be.
 * @throws VmctlError `vmctl::volume::in_use` when another VM that runs has one of them and either may write
 */
export const attachVolumes = async (
  engine: Engine,
  {name, spec, directory}: Pick<Vm, 'name' | 'spec' | 'directory'>,
): Promise<AttachedDisk[]> => {
  const {volumes = []} = spec
  if (volumes.length === 0) return []
  await requireNoOther(engine, name, spec.volumes ?? [])
  const disks: AttachedDisk[] = []
  for (const {volume, readOnly} of volumes) {
    const path = await ensureVolume(volumeStoreOf(engine), volume, {
      signal: engine.signal,
      notify: (message) => void engine.emit({type: 'vm.notice', vm: name, message}),
      content: givenVolume(directory, volume.id),
    })
    disks.push({path, serial: volumeSerial(volume.id), readOnly})
  }
  return disks
}

/** The disk of a volume that a VM has, as of its last start; undefined when it has not had it yet. */
export const diskOfVolume = ({attachments}: Pick<Vm, 'attachments'>, id: string): string | undefined =>
  attachments?.disks.find(({serial}) => serial === volumeSerial(id))?.path

/** What a clone brings of a volume, until its first start makes it the volume. */
export const givenVolume = (directory: string, id: string): string => join(vmFiles(directory).volumes, `${id}.qcow2`)

/** The disks of the volumes that a VM may write to. */
const writable = ({attachments}: Pick<Vm, 'attachments'>): readonly AttachedDisk[] =>
  (attachments?.disks ?? []).filter(({readOnly}) => !readOnly)

/** Lets the volumes of a VM that is about to be removed do without the snapshots that go with it. */
export const forgetLayers = async (engine: Engine, vm: Vm): Promise<void> => {
  const keep = await keptIds(engine.store, {except: vm.id})
  for (const {path} of writable(vm)) await trimLayers(path, {keep, isAtRest: true, signal: engine.signal})
}

/**
 * Checks that nobody but these VMs, each at most once, uses the volumes that they may write to.
 * @throws VmctlError `vmctl::volume::in_use`, `vmctl::snapshot::unsupported`
 */
export const requireOwnVolumes = async (engine: Engine, vms: readonly Vm[]): Promise<void> => {
  const owners = new Map<string, string>()
  for (const vm of vms) {
    for (const {path} of writable(vm)) {
      const owner = owners.get(path)
      if (owner !== undefined) {
        throw new VmctlError(
          'vmctl::snapshot::unsupported',
          `${owner} and ${vm.name} share the volume ${path}, which belongs to one moment of one VM.`,
          {
            help: 'Name only one of the two.',
          },
        )
      }
      owners.set(path, vm.name)
    }
  }
  if (owners.size === 0) return
  const own = new Set(vms.map(({name}) => name))
  for (const other of await listVms(engine.store)) {
    if (own.has(other.name)) continue
    const shared = other.attachments?.disks.find(({path}) => owners.has(path))
    if (!shared || !ownsDisks(await observe(engine, other))) continue
    throw new VmctlError(
      'vmctl::volume::in_use',
      `The volume ${shared.path} of ${owners.get(shared.path)} is in use by the VM ${other.name}, which ${other.saved ? 'is saved' : 'runs'}.`,
      {
        help: `Stop it with \`vmctl stop ${other.name}\`.`,
      },
    )
  }
}

const requireNoOther = async (engine: Engine, name: string, wanted: NonNullable<Vm['spec']['volumes']>): Promise<void> => {
  const others = (await listVms(engine.store)).filter((other) => other.name !== name)
  for (const {volume, readOnly} of wanted) {
    const serial = volumeSerial(volume.id)
    const rivals = others.filter(({attachments}) =>
      attachments?.disks.some((disk) => disk.serial === serial && !(disk.readOnly && readOnly)),
    )
    for (const rival of rivals) {
      if (!ownsDisks(await observe(engine, rival))) continue
      throw new VmctlError(
        'vmctl::volume::in_use',
        `The volume ${volume.name} is in use by the VM ${rival.name}, which ${rival.saved ? 'is saved' : 'runs'}.`,
        {
          help: `Stop it with \`vmctl stop ${rival.name}\`. Several VMs may use a volume at once only when all of them are read-only.`,
          details: {volume: volume.id, vm: rival.name},
        },
      )
    }
  }
}

/**
 * The records of all VMs, before something is removed that one of them may need.
 * @throws VmctlError `vmctl::vm::record_damaged` for one that cannot be read: nobody knows what it uses
 */
const allRecordsOf = async ({store}: Engine): Promise<Vm[]> => {
  const vms = await Promise.all((await listVmNames(store)).map((name) => readVm(store, name)))
  return vms.filter((vm) => vm !== undefined)
}

const usersOf = (vms: readonly Vm[], id: string): VolumeUser[] =>
  vms.flatMap(({name, spec}) =>
    (spec.volumes ?? [])
      .filter(({volume}) => volume.id === id)
      .map(({readOnly, target}) => ({vm: name, readOnly, ...(target !== undefined && {target})})),
  )

/** All volumes, sorted by id, with the VMs that use them. */
export const volumes = async (engine: Engine): Promise<VolumeSummary[]> => {
  const [all, vms] = await Promise.all([listVolumes(volumeStoreOf(engine), engine), listVms(engine.store)])
  return all.map((volume) => ({...volume, users: usersOf(vms, volume.id)}))
}

/** Where the disk of each volume is, whatever it holds. */
export const volumeDisks = async (engine: Engine): Promise<readonly {readonly id: string; readonly path: string}[]> =>
  (await volumeIds(volumeStoreOf(engine))).map((id) => ({id, path: volumeFiles(volumeStoreOf(engine), id).disk}))

/**
 * One volume, by its id (`shop.pgdata`), or by its name when no other has that.
 * @throws VmctlError `vmctl::volume::not_found`
 */
export const findVolume = async (engine: Engine, wanted: string): Promise<VolumeSummary> => {
  const direct = await readVolume(volumeStoreOf(engine), wanted, engine)
  if (direct) return {...direct, users: usersOf(await listVms(engine.store), direct.id)}
  const all = await volumes(engine)
  const [first, ...more] = all.filter(({name}) => name === wanted)
  if (first && more.length === 0) return first
  if (first) {
    throw new VmctlError('vmctl::volume::not_found', `Several volumes are called ${wanted}.`, {
      help: `Name one of them in full: ${[first, ...more].map(({id}) => id).join(', ')}.`,
    })
  }
  const names = all.flatMap(({id, name}) => [id, name])
  throw new VmctlError('vmctl::volume::not_found', `There is no volume named ${JSON.stringify(wanted)}.`, {
    help: suggest(wanted, names, 'Run `vmctl volume ls` to see the volumes that exist.'),
  })
}

/**
 * Removes a volume with everything on it.
 * @throws VmctlError `vmctl::volume::in_use` while a VM that exists uses it: that VM's next start would find an empty one
 */
export const removeUnusedVolume = async (engine: Engine, wanted: string): Promise<VolumeSummary> => {
  const volume = await findVolume(engine, wanted)
  const names = usersOf(await allRecordsOf(engine), volume.id).map(({vm}) => vm)
  if (names.length > 0) {
    throw new VmctlError('vmctl::volume::in_use', `The volume ${volume.id} belongs to ${names.join(', ')}.`, {
      help: `Destroy ${names.length === 1 ? 'that VM' : 'those VMs'} first: ${names.map((name) => `\`vmctl destroy ${name}\``).join(', ')}.`,
      details: {volume: volume.id, users: names},
    })
  }
  await removeVolume(volumeStoreOf(engine), volume.id, engine)
  return volume
}

/**
 * Checks that the volumes of VMs may be removed with them (`down --volumes`).
 * @returns removes them, and resolves to their ids
 * @throws VmctlError `vmctl::volume::in_use` when a VM besides these uses one of them
 */
export const lockVolumes = async (engine: Engine, specs: readonly VmSpec[]): Promise<() => Promise<string[]>> => {
  const ids = [...new Set(specs.flatMap((spec) => (spec.volumes ?? []).map(({volume}) => volume.id)))]
  const names = new Set(specs.map(({name}) => name))
  const others = ids.length === 0 ? [] : (await allRecordsOf(engine)).filter(({name}) => !names.has(name))
  for (const id of ids) {
    const [other] = usersOf(others, id)
    if (!other) continue
    throw new VmctlError('vmctl::volume::in_use', `The volume ${id} belongs to ${other.vm} too, which is not among these VMs.`, {
      help: `Destroy it first: \`vmctl destroy ${other.vm}\`.`,
      details: {volume: id, vm: other.vm},
    })
  }
  return async () => {
    const there = (await listVolumes(volumeStoreOf(engine), engine)).filter(({id}) => ids.includes(id))
    // Also those that are not there: a run that was killed has left something of them.
    for (const id of ids) await removeVolume(volumeStoreOf(engine), id, engine)
    return there.map(({id}) => id)
  }
}

import {listSnapshots} from '../../store/snapshots.ts'
import {listVmNames, readVm} from '../../store/store.ts'
import {type Engine, observe} from '../engine.ts'
import {volumes} from '../resources/volumes.ts'
import {findWanted, type Wanted} from '../snapshot/common.ts'
import {changesSince} from '../snapshot/list.ts'

/** What is about to be destroyed. */
export interface Doomed {
  readonly vms?: readonly string[]
  /** VMs that the VMFile no longer defines. */
  readonly orphans?: readonly string[]
  /** Ids of volumes. */
  readonly volumes?: readonly string[]
}

/** What goes with a VM or a volume that is destroyed, or with what a VM has written. */
export interface Loss {
  readonly kind: 'vm' | 'orphan' | 'volume' | 'image' | 'writes'
  readonly name: string
  /** Bytes that it takes on the host: of a VM what its disk has that its image has not. */
  readonly diskBytes: number
  /** RFC 3339; absent when its record is damaged. */
  readonly createdAt?: string
  readonly isRunning?: boolean
  /** Snapshots that go with it. */
  readonly snapshots?: number
  /** Of an image; RFC 3339. */
  readonly lastUsedAt?: string
}

/** What would be lost of these, as far as it exists. Changes nothing, and takes no lock. */
export const lossOf = async (engine: Engine, {vms = [], orphans = [], volumes: ids = []}: Doomed): Promise<readonly Loss[]> => {
  const existing = new Set(await listVmNames(engine.store))
  const snapshots = await listSnapshots(engine.store)
  const ofVms = [...vms.map((name) => ({kind: 'vm', name}) as const), ...orphans.map((name) => ({kind: 'orphan', name}) as const)]
    .filter(({name}) => existing.has(name))
    .map(async ({kind, name}): Promise<Loss> => {
      const vm = await readVm(engine.store, name).catch(() => undefined)
      if (!vm) return {kind, name, diskBytes: 0}
      const disk = await engine.hypervisors.get(vm.backend)?.disk?.(vm.directory)
      const seen = await observe(engine, vm).catch(() => undefined)
      return {
        kind,
        name,
        diskBytes: disk?.bytes ?? 0,
        createdAt: vm.createdAt,
        isRunning: seen?.state === 'running' || seen?.state === 'suspended',
        snapshots: snapshots.filter(({members}) => members.some(({vmId}) => vmId === vm.id)).length,
      }
    })
  return [...(await Promise.all(ofVms)), ...(ids.length === 0 ? [] : await ofVolumes(engine, new Set(ids)))]
}

/** What VMs would lose that are put back to a snapshot. */
export const lossOfRestore = async (engine: Engine, wanted: Wanted): Promise<readonly Loss[]> => {
  const {names} = await findWanted(engine, wanted)
  const changes = await changesSince(engine, wanted)
  return Promise.all(
    names.map(async (name): Promise<Loss> => {
      const own = changes.filter(({vm}) => vm === name)
      const vm = await readVm(engine.store, name)
      const seen = vm && (await observe(engine, vm).catch(() => undefined))
      return {
        kind: 'writes',
        name,
        diskBytes: own.reduce((sum, {bytes = 0}) => sum + bytes, 0),
        isRunning: seen?.state === 'running' || seen?.state === 'suspended',
      }
    }),
  )
}

const ofVolumes = async (engine: Engine, ids: ReadonlySet<string>): Promise<readonly Loss[]> =>
  (await volumes(engine))
    .filter(({id}) => ids.has(id))
    .map(({id, allocatedBytes, createdAt}) => ({kind: 'volume', name: id, diskBytes: allocatedBytes, createdAt}))

import {writeGuest} from '../../guest/record.ts'
import type {Vm} from '../../model/vm.ts'
import {writeJournal} from '../../provision/run/journal.ts'
import {lockLayers, noteLayerUse} from '../../store/layers.ts'
import {writeVm} from '../../store/store.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {seedContentOf} from '../make/attach.ts'
import {diskOn, findLayer, type FoundLayer} from '../make/layers.ts'
import {inheritCredentials, writeCredentials} from '../make/seed.ts'
import {identityOf} from '../reach/identity.ts'
import {seedGiver} from './give-seed.ts'
import {operation} from './operation.ts'
import type {Target} from './target.ts'

interface Furnished {
  readonly vm: Vm
  /** The layer that its disk was made on. */
  readonly origin: FoundLayer | undefined
}

/**
 * Makes the disk and the keys of a VM that is being put together: from the layer of provision steps that fits best where there is one, else
 * from its image.
 * @param old the VM that it replaces
 */
export const furnish = async (
  engine: Engine,
  vm: Vm,
  {old, steps = [], layers = true}: Partial<Pick<Target, 'steps' | 'layers'>> & {readonly old: Vm | undefined},
): Promise<Furnished> => {
  const hypervisor = await hypervisorOf(engine, vm)
  const find = (): Promise<FoundLayer | undefined> =>
    findLayer(engine, {spec: vm.spec, steps, base: vm.base, identity: old && identityOf(old)})
  const made = layers && (await find()) ? await standOnLayer(engine, vm, {old, find}) : undefined
  if (made) return made
  await hypervisor.prepare(vm, operation(engine, vm))
  await writeCredentials(vm, await seedContentOf(engine, vm), seedGiver(engine, vm))
  return {vm, origin: undefined}
}

/** From the moment that the disk is there, nobody removes what it stands on. */
const standOnLayer = async (
  engine: Engine,
  blank: Vm,
  {old, find}: {readonly old: Vm | undefined; readonly find: () => Promise<FoundLayer | undefined>},
): Promise<Furnished | undefined> => {
  await using _lock = await lockLayers(engine.store, `making ${blank.name} from a layer`, engine.signal)
  const found = await find()
  if (!found) return undefined
  const before = found.isOwn ? old : undefined
  const layer = diskOn(engine, found, blank)
  const vm: Vm = {...blank, layer, ...(before ? {identity: identityOf(before)} : {derivedFrom: layer.id})}
  await writeVm(vm)
  await (await hypervisorOf(engine, vm)).prepare(vm, operation(engine, vm))
  await noteLayerUse(engine.store, found.layer)
  const content = await seedContentOf(engine, vm)
  const give = seedGiver(engine, vm)
  await (before ? inheritCredentials(vm, {...content, old: before}, give) : writeCredentials(vm, content, give))
  const {setup} = found.layer
  await writeGuest(vm.directory, {schema: 1, ready: before !== undefined, ...(setup && {setup})})
  await writeJournal(vm.directory, found.journal)
  return {vm, origin: found}
}

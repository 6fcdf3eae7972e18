import {randomBytes} from 'node:crypto'

import {syncDirectory, syncFile} from '../../host/durable.ts'
import {messageOf} from '../../model/errors.ts'
import {layerLimits} from '../../model/limits.ts'
import type {Vm} from '../../model/vm.ts'
import {isSaved, isWorthLayer} from '../../provision/run/chain.ts'
import type {Guest} from '../../provision/provisioner.ts'
import {type Layer, layerFile, layersDirectory, lockLayers, makeLayersDirectory, readLayer, writeLayer} from '../../store/layers.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {hasLayers, layerChain, placeOf} from '../make/layers.ts'
import {tidyLayers} from '../make/tidy-layers.ts'
import {identityOf} from '../reach/identity.ts'
import {operation} from './operation.ts'
import type {Task} from './target.ts'

interface Work extends Pick<Task, 'steps' | 'records' | 'made' | 'layers'> {
  readonly guest: () => Promise<Guest>
}

/**
 * What is to be called after each step of a VM that this very command has made: it keeps the disk as a layer where that is worth it. On the
 * disk of a VM that has lived, more than its steps may have written, so there is nothing for it.
 */
export const layerKeeper = async (engine: Engine, vm: Vm, work: Work): Promise<((step: number) => Promise<void>) | undefined> => {
  const {made, steps, records} = work
  if (!made || vm.backend !== engine.backend || !hasLayers(engine)) return undefined
  const {hashes} = await layerChain(engine, {spec: vm.spec, steps, base: vm.base})
  if (hashes.length === 0) return undefined
  const {origin} = made
  let below = origin ? [origin.layer.id, ...origin.layer.below] : []
  let savedMs = 0
  return async (number) => {
    const [step, hash] = [steps[number - 1], hashes[number - 1]]
    if (!step || hash === undefined) return
    // One that runs again on top of a layer has made nothing new.
    if (origin && number <= origin.step) return
    if (isSaved(step)) savedMs += records.journal.steps[number - 1]?.durationMs ?? 0
    if (below.length > layerLimits.mostBelow || !isWorthLayer(step, {savedMs, leastMs: layerLimits.leastMs})) return
    savedMs = 0
    try {
      const layer = await keepLayer(engine, vm, {...work, number, hash, below})
      if (layer) below = [layer.id, ...below]
    } catch (error) {
      engine.signal.throwIfAborted()
      await engine.emit({type: 'vm.notice', vm: vm.name, message: `no layer is kept of step ${number}: ${messageOf(error)}`})
    }
  }
}

interface Keeping extends Work {
  readonly number: number
  readonly hash: string
  readonly below: readonly string[]
}

/** @returns undefined when there is such a layer already, of another VM */
const keepLayer = async (engine: Engine, vm: Vm, {number, hash, below, ...work}: Keeping): Promise<Layer | undefined> => {
  const {store, signal} = engine
  const hypervisor = await hypervisorOf(engine, vm)
  await makeLayersDirectory(store)
  await using _lock = await lockLayers(store, `keeping a layer of ${vm.name}`, signal)
  if (work.layers !== false && (await readLayer(store, hash))) return undefined
  const guest = await work.guest()
  await guest.exec('sync', {signal})
  const id = randomBytes(6).toString('hex')
  const path = layerFile(store, id)
  await hypervisor.freeze?.(vm, {id, path}, operation(engine, vm))
  await syncFile(path)
  await syncDirectory(layersDirectory(store))
  const {setup} = work.records.guest
  const layer: Layer = {
    schema: 1,
    hash,
    id,
    below,
    image: vm.base.path,
    createdAt: new Date().toISOString(),
    vm: vm.name,
    identity: identityOf(vm),
    place: placeOf(vm.spec),
    ...(setup && {setup}),
    steps: work.records.journal.steps
      .slice(0, number)
      .map(({title, durationMs}) => ({title, ...(durationMs !== undefined && {durationMs})})),
  }
  await writeLayer(store, layer)
  await engine.emit({type: 'layer.kept', vm: vm.name, step: number, id})
  await tidyLayers(engine)
  return layer
}

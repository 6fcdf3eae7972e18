import {lockLayers, removeLayer, type StoredLayer, sweepLayerRecords} from '../../store/layers.ts'
import type {Engine} from '../engine.ts'
import {type LayerRules, removableLayers} from '../make/tidy-layers.ts'

/** A layer of provision steps that goes, or has gone; an element of the `--json` shape of `vmctl prune`. */
export interface PrunedLayer {
  /** 12 hexadecimal digits. */
  readonly id: string
  /** The VM that it was made of; absent for a file that a killed command has left. */
  readonly vm?: string
  /** The last of its steps, counted from 1, and what that is called. */
  readonly step?: number
  readonly title?: string
  readonly freedBytes: number
  /** RFC 3339. */
  readonly lastUsedAt: string
}

/** What became of the layers; the `--json` shape of `vmctl prune`. */
export interface PrunedLayers {
  readonly remove: readonly PrunedLayer[]
  readonly freedBytes: number
  /** Nothing was removed. */
  readonly dryRun: boolean
}

/** What a prune of the layers would remove. */
export const prunableLayers = async (engine: Engine, rules: LayerRules): Promise<PrunedLayers> =>
  told(await removableLayers(engine, rules), true)

/** Removes the layers on which no disk stands, or those of them that break a rule. */
export const pruneLayers = async (engine: Engine, rules: LayerRules): Promise<PrunedLayers> => {
  await using _lock = await lockLayers(engine.store, 'vmctl prune', engine.signal)
  await sweepLayerRecords(engine.store)
  const doomed = await removableLayers(engine, rules)
  for (const one of doomed) {
    engine.signal.throwIfAborted()
    await removeLayer(engine.store, one)
  }
  return told(doomed, false)
}

const told = (some: readonly StoredLayer[], dryRun: boolean): PrunedLayers => ({
  remove: some.map(({id, bytes, usedMs, layer}) => {
    const title = layer?.steps.at(-1)?.title
    return {
      id,
      ...(layer && {vm: layer.vm, step: layer.steps.length}),
      ...(title !== undefined && {title}),
      freedBytes: bytes,
      lastUsedAt: new Date(usedMs).toISOString(),
    }
  }),
  freedBytes: some.reduce((sum, {bytes}) => sum + bytes, 0),
  dryRun,
})

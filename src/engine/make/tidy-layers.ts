import {readdir} from 'node:fs/promises'
import {join} from 'node:path'

import {readHead} from '../../image/audit.ts'
import {parseQcow2Header} from '../../image/qcow2-header.ts'
import {systemCode} from '../../model/errors.ts'
import {layerLimits} from '../../model/limits.ts'
import {layerFile, listLayers, removeLayer, type StoredLayer, sweepLayerRecords} from '../../store/layers.ts'
import {vmDirectories} from '../../store/store.ts'
import type {Engine} from '../engine.ts'
import {layerRoom} from './layers.ts'

/** Which layers go of those that nothing stands on: those that break a rule; without rules all of them. */
export interface LayerRules {
  /** Those that were not used for so many milliseconds. */
  readonly unusedMs?: number | undefined
  /** The one that was used least recently, as long as all of them take more than this. */
  readonly mostBytes?: number | undefined
}

/** Removes what there is no room for. The caller holds the lock of the layers. */
export const tidyLayers = async (engine: Engine): Promise<void> => {
  await sweepLayerRecords(engine.store)
  for (const one of await removableLayers(engine, {unusedMs: layerLimits.unusedMs, mostBytes: layerRoom(engine)}))
    await removeLayer(engine.store, one)
}

/** What goes by these rules, in the order in which it can: one after those that stand on it. A file that belongs to no layer goes in any case. */
export const removableLayers = async ({store}: Engine, {unusedMs, mostBytes}: LayerRules): Promise<readonly StoredLayer[]> => {
  const all = await listLayers(store)
  const used = await usedByDisks({store})
  const parents = new Map(await Promise.all(all.map(async ({id}) => [id, await layerBelow(layerFile(store, id))] as const)))
  const rest = new Set(all.toReversed())
  let bytes = all.reduce((sum, one) => sum + one.bytes, 0)
  const now = Date.now()
  const hasNoRules = unusedMs === undefined && mostBytes === undefined
  const isRipe = ({layer, usedMs}: StoredLayer): boolean =>
    !layer || hasNoRules || (unusedMs !== undefined && now - usedMs >= unusedMs) || (mostBytes !== undefined && bytes > mostBytes)
  const chosen: StoredLayer[] = []
  for (;;) {
    const standing = new Set([...rest].map(({id}) => parents.get(id)))
    const next = [...rest].find((one) => !used.has(one.id) && !standing.has(one.id) && isRipe(one))
    if (!next) return chosen
    rest.delete(next)
    bytes -= next.bytes
    chosen.push(next)
  }
}

/** The layers on which disks of VMs stand, also of those that are just being made, and of those whose record is damaged. */
const usedByDisks = async ({store}: Pick<Engine, 'store'>): Promise<ReadonlySet<string>> => {
  const used = new Set<string>()
  for (const directory of await vmDirectories(store)) {
    for (const name of await readdir(directory).catch(() => [])) {
      const id = name.endsWith('.qcow2') || name.endsWith('.tmp') ? await layerBelow(join(directory, name)) : undefined
      if (id !== undefined) used.add(id)
    }
  }
  return used
}

/** Id of the layer that a disk or a layer reads through to; undefined where that is an image. */
const layerBelow = async (path: string): Promise<string | undefined> => {
  try {
    const {head, fileBytes} = await readHead(path)
    return /\/layer-([0-9a-f]{12})\.qcow2$/.exec(parseQcow2Header(head, fileBytes)?.backingFile ?? '')?.[1]
  } catch (error) {
    if (error instanceof Error && systemCode(error.cause) === 'ENOENT') return undefined
    throw error
  }
}

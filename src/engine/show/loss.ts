import {listVmNames, readVm} from '../../store/store.ts'
import type {Engine} from '../engine.ts'

/** What goes with a VM that is destroyed. */
export interface Loss {
  readonly name: string
  /** Bytes that its disk takes on the host: what it has that its image has not. */
  readonly diskBytes: number
  /** RFC 3339; absent when its record is damaged. */
  readonly createdAt?: string
}

/** What would be lost with these VMs, those of them that exist. Changes nothing, and takes no lock. */
export const lossOf = async (engine: Engine, names: readonly string[]): Promise<readonly Loss[]> => {
  const existing = new Set(await listVmNames(engine.store))
  const losses = names.map(async (name): Promise<Loss | undefined> => {
    if (!existing.has(name)) return undefined
    const vm = await readVm(engine.store, name).catch(() => undefined)
    const disk = vm && (await engine.hypervisors.get(vm.backend)?.disk?.(vm.directory))
    return {name, diskBytes: disk?.bytes ?? 0, ...(vm && {createdAt: vm.createdAt})}
  })
  return (await Promise.all(losses)).filter((loss) => loss !== undefined)
}

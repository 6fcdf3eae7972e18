import type {Holding, OperationOptions} from '../../hypervisor/hypervisor.ts'
import type {Vm} from '../../model/vm.ts'
import {type Store, vmDirectories} from '../../store/store.ts'
import type {Engine} from '../engine.ts'

/** What a backend gets with every change of a VM. */
export const operation = (engine: Engine, vm: Pick<Vm, 'directory'>): OperationOptions => ({
  signal: engine.signal,
  // What a backend has to say is about the host, so it is said once for all VMs.
  notify: (message) => void engine.emit({type: 'vm.notice', message}),
  neighbours: () => holdingsOf(engine, vm.directory),
})

/** What all VMs but one hold, half-made ones too; a record that cannot be read holds nothing. */
const holdingsOf = async (
  {store, beside, hypervisors}: Pick<Engine, 'store' | 'beside' | 'hypervisors'>,
  own: string,
): Promise<readonly Holding[]> => {
  const heldIn = async (one: Store): Promise<readonly Holding[]> => {
    const directories = (await vmDirectories(one)).filter((directory) => directory !== own)
    const holdings = directories.flatMap((directory) =>
      [...hypervisors.values()].map(async (hypervisor) => hypervisor.holds?.(directory).catch(() => undefined)),
    )
    return (await Promise.all(holdings)).filter((holding) => holding !== undefined)
  }
  // A VM and its fork have one name, and are no successors of each other.
  const others = beside ? (await heldIn(beside)).map((holding) => ({...holding, vm: `${holding.vm} (not the fork)`})) : []
  return [...(await heldIn(store)), ...others]
}

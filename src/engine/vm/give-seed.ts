import type {SeedDocuments} from '../../model/cloud-init.ts'
import type {Vm} from '../../model/vm.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {operation} from './operation.ts'

/** Gives the documents of a seed to the backend of a VM, or tells that it takes none. */
export const seedGiver =
  (engine: Engine, vm: Vm) =>
  async (documents: SeedDocuments): Promise<void> => {
    const hypervisor = await hypervisorOf(engine, vm)
    if (hypervisor.seed) return hypervisor.seed(vm, documents, operation(engine, vm))
    const message = `its cloud-init block has no effect: the backend ${vm.backend} brings no seed`
    await engine.emit({type: 'vm.notice', vm: vm.name, message})
  }

import type {Hypervisor} from '../../hypervisor/hypervisor.ts'
import {VmctlError} from '../../model/errors.ts'
import type {Vm} from '../../model/vm.ts'
import {type Engine, hypervisorOf} from '../engine.ts'

type Forking = Hypervisor & Required<Pick<Hypervisor, 'fork' | 'checkpoint'>>

/**
 * The backend of a VM, when another VM can begin where that one is.
 * @throws VmctlError `vmctl::vm::not_forkable`, `vmctl::vm::invalid_state` of one that is saved, `vmctl::backend::not_available`
 */
export const forkingBackend = async (engine: Engine, vm: Vm): Promise<Forking> => {
  const hypervisor = await hypervisorOf(engine, vm)
  if (vm.saved) {
    throw new VmctlError('vmctl::vm::invalid_state', `VM ${vm.name} is saved: what its guest has in memory belongs to its disk.`, {
      help: `Resume it first: \`vmctl resume ${vm.name}\`.`,
    })
  }
  if (!hypervisor.fork || !hypervisor.checkpoint) {
    throw new VmctlError('vmctl::backend::not_available', `The backend ${vm.backend} of ${vm.name} can neither clone nor fork a VM.`)
  }
  const why = vm.spec.cloudInit
    ? hypervisor.whyNotTwice?.(vm)
    : 'it has no cloud-init block, so its guest could not be given an identity of its own'
  if (why !== undefined) throw notForkable(vm.name, why)
  return hypervisor as Forking
}

export const notForkable = (name: string, why: string): VmctlError =>
  new VmctlError('vmctl::vm::not_forkable', `${name} cannot be had twice: ${why}.`)

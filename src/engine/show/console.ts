import type {Duplex} from 'node:stream'

import type {Lock} from '../../host/lock.ts'
import {VmctlError} from '../../model/errors.ts'
import {requireVm} from '../../store/store.ts'
import {type Engine, hypervisorOf} from '../engine.ts'

/** A byte stream to a serial console, and the lock that keeps others from it. */
export interface OpenConsole {
  readonly stream: Duplex
  readonly lock: Lock
}

/** Opens the serial console of a running VM. */
export const openConsole = async (engine: Engine, name: string): Promise<OpenConsole> => {
  const vm = await requireVm(engine.store, name)
  const hypervisor = await hypervisorOf(engine, vm)
  if (!hypervisor.console) throw new VmctlError('vmctl::backend::not_available', `The backend ${vm.backend} has no serial console.`)
  const {state} = await hypervisor.observe(vm)
  if (state !== 'running' && state !== 'suspended') {
    throw new VmctlError('vmctl::vm::invalid_state', `VM ${name} is ${state}; it has no console.`, {
      help: `Start it with \`vmctl start ${name}\`.`,
    })
  }
  const {lockConsole} = await import('../../store/console-lock.ts')
  const lock = await lockConsole(engine.store, name, engine.signal)
  return {stream: await hypervisor.console(vm, {signal: engine.signal}), lock}
}

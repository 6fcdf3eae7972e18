import {vmFiles} from '../../model/layout.ts'
import type {Vm} from '../../model/vm.ts'
import {type Engine, hypervisorOf} from '../engine.ts'

/**
 * Where the log of a VM's console is, brought up to date where its backend has it elsewhere. One that cannot be had now stays as it
 * is: a log is a help, and no verb is to fail for it.
 */
export const consoleLogOf = async (engine: Engine, vm: Vm): Promise<string> => {
  const {signal} = engine
  try {
    await (await hypervisorOf(engine, vm)).fetchConsole?.(vm, {signal})
  } catch {
    signal.throwIfAborted()
  }
  return vmFiles(vm.directory).consoleLog
}

import {setTimeout as sleep} from 'node:timers/promises'

import {correctClock} from '../../guest/clock.ts'
import {messageOf, VmctlError} from '../../model/errors.ts'
import {formatDuration} from '../../model/quantity.ts'
import {noopBackend, type Vm} from '../../model/vm.ts'
import {writeVm} from '../../store/store.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {waitForGuest} from '../reach/wait.ts'
import {startNetworks} from '../resources/carriers.ts'
import {operation} from './operation.ts'
import {requireWhole} from './whole.ts'

/** Halts a guest where it is. */
export const suspendVm = async (engine: Engine, vm: Vm): Promise<void> => {
  const hypervisor = await hypervisorOf(engine, vm)
  if (!hypervisor.suspend) throw new VmctlError('vmctl::backend::not_available', `The backend ${vm.backend} cannot suspend a VM.`)
  await hypervisor.suspend(vm, operation(engine, vm))
  await writeVm({...vm, suspendedAt: new Date().toISOString()})
}

/** Lets a guest go on, with the right time where it can be given to it. */
export const resumeVm = async (engine: Engine, {suspendedAt, ...vm}: Vm): Promise<void> => {
  const hypervisor = await hypervisorOf(engine, vm)
  const {pause} = await hypervisor.observe(vm)
  requireWhole(vm)
  await startNetworks(engine, vm.spec)
  await hypervisor.resume?.(vm, operation(engine, vm))
  if (pause !== undefined) await requireProgress(engine, vm)
  await writeVm(vm)
  if (vm.backend !== noopBackend) await catchUp(engine, vm, suspendedAt)
}

/** How soon a guest writes again what it had no room for, in milliseconds. */
const retryMs = 1000

/** @throws VmctlError `vmctl::vm::paused` when what has paused the guest does so again */
const requireProgress = async (engine: Engine, vm: Vm): Promise<void> => {
  await sleep(retryMs, undefined, {signal: engine.signal})
  const {pause} = await (await hypervisorOf(engine, vm)).observe(vm)
  if (pause !== undefined) throw new VmctlError('vmctl::vm::paused', `The VM is paused again: ${pause}.`)
}

/** A guest that had booted before the pause answers at once after it; the boot of another one is not waited for. */
const answerMs = 15_000

/** Seconds by which a clock may have been behind before the pause. */
const slackSeconds = 5

/** While a guest is paused its clock stands still, and nothing in it notices. Its RTC goes on, so the next boot would be right. */
export const catchUp = async (engine: Engine, vm: Vm, suspendedAt: string | undefined): Promise<void> => {
  const pausedMs = suspendedAt === undefined ? undefined : Date.now() - Date.parse(suspendedAt)
  const mostSeconds = pausedMs === undefined ? undefined : Math.ceil(pausedMs / 1000) + slackSeconds
  const tell = async (message: string): Promise<void> => {
    await engine.emit({type: 'vm.notice', vm: vm.name, message})
  }
  try {
    const signal = AbortSignal.any([engine.signal, AbortSignal.timeout(answerMs)])
    const {connection} = await waitForGuest({...engine, signal}, vm, {cloudInit: false})
    try {
      const {isSet, behindSeconds} = await correctClock(connection, {mostSeconds, signal})
      if (!isSet && Math.abs(behindSeconds) > 1) {
        await tell(
          `its clock is ${formatDuration(Math.abs(behindSeconds) * 1000)} ${behindSeconds > 0 ? 'behind' : 'ahead of'} that of the host, and not by the pause, so it was left`,
        )
      }
    } finally {
      connection.close()
    }
  } catch (error) {
    engine.signal.throwIfAborted()
    const length = pausedMs === undefined ? 'the length of the pause' : formatDuration(pausedMs)
    await tell(`its clock stays behind by ${length} until something in the guest corrects it: ${messageOf(error)}`)
  }
}

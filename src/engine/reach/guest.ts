import type {GuestConnection} from '../../guest/ssh/ssh.ts'
import {requireVm} from '../../store/store.ts'
import {waitForGuest, type WaitOptions} from './wait.ts'
import {type Engine, hypervisorOf} from '../engine.ts'

/** Waits until the guest of a VM can be worked with and returns the connection, host key checked. The caller closes it. */
export const connectGuest = async (engine: Engine, name: string, options: WaitOptions = {}): Promise<GuestConnection> => {
  const {connection} = await waitForGuest(engine, await requireVm(engine.store, name), options)
  return connection
}

/** Where a program of the host reaches the guest's SSH port; undefined when the VM has no network. */
export const guestAddress = async (engine: Engine, name: string): Promise<{readonly host: string; readonly port: number} | undefined> => {
  const vm = await requireVm(engine.store, name)
  return (await hypervisorOf(engine, vm)).sshAddress(vm, {signal: engine.signal})
}

import {joinStandardStreams} from '../../host/interactive.ts'
import type {GuestConnection} from '../../guest/ssh/ssh.ts'
import {requireVm} from '../../store/store.ts'
import {waitForGuest, type WaitOptions} from './wait.ts'
import {type Engine, hypervisorOf} from '../engine.ts'

/** Waits until the guest of a VM can be worked with and returns the connection, host key checked. The caller closes it. */
export const connectGuest = async (engine: Engine, name: string, options: WaitOptions = {}): Promise<GuestConnection> => {
  const {connection} = await waitForGuest(engine, await requireVm(engine.store, name), options)
  return connection
}

/** Joins standard input and output of this process to the SSH port of a VM, until the guest has ended its side. */
export const joinSsh = async (engine: Engine, name: string): Promise<void> => {
  const vm = await requireVm(engine.store, name)
  const stream = await (await hypervisorOf(engine, vm)).dial(vm, 22, {signal: engine.signal})
  await joinStandardStreams(stream, engine.signal)
}

/** Where a program of the host reaches the guest's SSH port; undefined when the VM has no network, or only vmctl reaches it. */
export const guestAddress = async (engine: Engine, name: string): Promise<{readonly host: string; readonly port: number} | undefined> => {
  const vm = await requireVm(engine.store, name)
  const address = await (await hypervisorOf(engine, vm)).sshAddress(vm, {signal: engine.signal})
  return address && !address.isRelayed ? {host: address.host, port: address.port} : undefined
}

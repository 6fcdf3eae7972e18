import type {GuestConnection} from '../../guest/ssh/connection.ts'
import {noopBackend, type Vm} from '../../model/vm.ts'
import {runSteps} from '../../provision/run/run.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {sshUser} from '../reach/identity.ts'
import {asGuest, openSession} from '../reach/session.ts'
import {waitForGuest} from '../reach/wait.ts'
import {seedContentOf} from '../make/attach.ts'
import {configureGuest} from './configure.ts'
import {layerKeeper} from './keep-layers.ts'
import {operation} from './operation.ts'
import {requireIdentity} from './own-identity.ts'
import type {Records} from './records.ts'
import {watchPanics} from './restarts.ts'
import {detachSeed} from '../make/seed.ts'
import type {Task} from './target.ts'

/** Waits until a guest is ready and set up. */
export const waitUntilUsable = async (engine: Engine, vm: Vm, records: Records): Promise<void> => {
  const guest = await usableGuest(engine, vm, records)
  guest.close()
}

/** A connection to a guest that is ready and set up. Open only when this succeeds: one that nobody closes keeps vmctl alive. */
const usableGuest = async (engine: Engine, vm: Vm, records: Records): Promise<ReturnType<typeof asGuest>> => {
  const hypervisor = await hypervisorOf(engine, vm)
  const {connection, bootId, warnings} = await waitForGuest(engine, vm, {
    ready: records.guest.ready,
    onStall: async (reason) => (await hypervisor.startOtherwise?.(vm, {...operation(engine, vm), reason})) ?? false,
  })
  try {
    for (const message of warnings) await engine.emit({type: 'vm.notice', vm: vm.name, message})
    await becomeReady(engine, vm, {connection, records})
    await configureGuest(engine, vm, {connection, records})
  } catch (error) {
    connection.close()
    throw error
  }
  return asGuest(connection, bootId)
}

const becomeReady = async (
  engine: Engine,
  vm: Vm,
  {connection, records}: {readonly connection: Pick<GuestConnection, 'exec' | 'hasShell'>; readonly records: Records},
): Promise<void> => {
  const {guest} = records
  if (guest.ready) return
  // Nobody can tell whether it has read its seed, so it keeps that.
  if (!connection.hasShell) return records.writeGuest({...guest, ready: true})
  // User-data of the user's own may have taken the place of the command that does so at boot.
  if (vm.derivedFrom !== undefined && vm.backend !== noopBackend) await requireIdentity(connection, {...vm, signal: engine.signal})
  // Before `ready` is on record: whoever was killed in between comes back here.
  const hypervisor = await hypervisorOf(engine, vm)
  // The seed loses the host key now. A guest that ends before it has written it to its disk would make itself another one.
  await connection.exec('sync', {signal: engine.signal})
  const kept = await detachSeed(vm, await seedContentOf(engine, vm), async (documents) =>
    hypervisor.seed?.(vm, documents, operation(engine, vm)),
  )
  if (kept !== undefined) {
    const message = `the seed keeps its private host key until the VM is made anew: ${kept}`
    await engine.emit({type: 'vm.notice', vm: vm.name, message})
  }
  await records.writeGuest({...guest, ready: true})
}

export const provisionVm = async (engine: Engine, vm: Vm, task: Task): Promise<void> => {
  const {steps, verdicts, records} = task
  // Also after the first wait: a later connection is made when the first one was lost, and the guest may have gone away.
  using session = openSession(() => usableGuest(engine, vm, records))
  await session.guest()
  const hypervisor = await hypervisorOf(engine, vm)
  // A step that an earlier vmctl has left ran before now.
  const isContinued = records.journal.steps.some(({state, memory}) => state === 'running' && memory !== undefined)
  const since = isContinued ? (await hypervisor.vitals?.(vm))?.consoleFrom : undefined
  await runSteps(vm, steps, {
    verdicts,
    whyRestarted: await watchPanics(engine, vm, since),
    journal: records,
    provisioners: engine.provisioners,
    guest: session.guest,
    onDone: await layerKeeper(engine, vm, {...task, guest: session.guest}),
    user: sshUser(vm),
    onEvent: (event) => engine.emit({...event, vm: vm.name}),
    signal: engine.signal,
  })
}

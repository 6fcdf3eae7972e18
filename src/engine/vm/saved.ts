import {readdir, stat} from 'node:fs/promises'
import {join} from 'node:path'

import {remove} from '../../host/durable.ts'
import {makePrivateDirectory, pathExists} from '../../host/files.ts'
import type {Checkpoint, Restoration, SaveOptions} from '../../hypervisor/hypervisor.ts'
import {isFailure, isVmctlError, VmctlError} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import {noopBackend, type Vm} from '../../model/vm.ts'
import {forgetSaved, removeSavedMemory, writeSaved} from '../../store/saved.ts'
import {requireVm, writeVm} from '../../store/store.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {startNetworks} from '../resources/carriers.ts'
import {operation} from './operation.ts'
import {catchUp} from './pause.ts'
import {forAll} from './several.ts'
import {requireWhole} from './whole.ts'

const optionsFor = (engine: Engine, vm: Vm): SaveOptions => ({
  ...operation(engine, vm),
  directory: vmFiles(vm.directory).savedMemory,
  mark: vmFiles(vm.directory).saved,
})

/**
 * Brings the memory of guests that run or are suspended to disk, all of them as of one instant, and ends what runs. The caller holds the
 * locks. Killed at any time, each of them is saved or goes on; when one cannot be saved all go on.
 */
export const saveVms = async (engine: Engine, vms: readonly Vm[]): Promise<void> => {
  try {
    await save(engine, vms)
  } catch (error) {
    for (const vm of vms) if (!(await pathExists(vmFiles(vm.directory).saved))) await removeSavedMemory(vm)
    throw error
  }
}

const save = async (engine: Engine, vms: readonly Vm[]): Promise<void> => {
  await using begun = new AsyncDisposableStack()
  const savings: Checkpoint[] = []
  for (const vm of vms) {
    const hypervisor = await hypervisorOf(engine, vm)
    if (!hypervisor.save) throw new VmctlError('vmctl::backend::not_available', `The backend ${vm.backend} cannot save a VM.`)
    // What a killed command has left.
    await removeSavedMemory(vm)
    await makePrivateDirectory(vmFiles(vm.directory).savedMemory)
    savings.push(begun.use(await hypervisor.save(vm, optionsFor(engine, vm)).catch(withoutSnapshot)))
  }
  await forAll(savings, (one) => one.ready())
  await forAll(savings, (one) => one.hold())
  const savedAt = new Date().toISOString()
  await forAll(savings, (one) => one.seal())
  await forAll(savings, (one) => one.settle())
  engine.signal.throwIfAborted()
  try {
    for (const vm of vms) await writeSaved(vm, {savedAt, bytes: await bytesIn(vmFiles(vm.directory).savedMemory)})
  } catch (error) {
    // Nothing has ended yet, so all of them can go on.
    for (const vm of vms) await forgetSaved(vm)
    throw error
  }
}

/** What cannot be in a snapshot cannot be saved either, and something else is to be done about it. */
const withoutSnapshot = (error: unknown): never => {
  if (isVmctlError(error) && isFailure(error, 'vmctl::snapshot::unsupported'))
    throw error.reword({help: 'Nothing was changed. Power it off instead: `vmctl down` or `vmctl stop`.'})
  throw error
}

const bytesIn = async (directory: string): Promise<number> => {
  const sizes = (await readdir(directory)).map(async (name) => (await stat(join(directory, name))).size)
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

interface Work {
  readonly vm: Vm
  readonly restoration: Restoration
}

/**
 * Lets saved guests go on where they were, all of them at once. The caller holds the locks. What is in the way is told while nothing has
 * happened; until the guests execute something they stay saved, whatever fails.
 */
export const loadVms = async (engine: Engine, vms: readonly Vm[]): Promise<void> => {
  const works: Work[] = []
  for (const vm of vms) works.push({vm, restoration: await prepare(engine, vm)})
  const going: Work[] = []
  try {
    await forAll(works, async ({vm, restoration}) => {
      await startNetworks(engine, vm.spec)
      await restoration.load().catch((error: unknown) => {
        throw withAdvice(error, vm)
      })
    })
    engine.signal.throwIfAborted()
    // Before a guest writes to its disk: memory that is older than its disk must never be loaded.
    for (const work of works) {
      await forgetSaved(work.vm)
      going.push(work)
    }
  } finally {
    await forAll(going, ({restoration}) => restoration.release())
    for (const work of works) await (going.includes(work) ? settle(work.vm) : endLoaded(engine, work.vm))
  }
  await forAll(vms, async ({saved, suspendedAt = saved?.savedAt, ...vm}) => {
    if (vm.backend !== noopBackend) await catchUp(engine, vm, suspendedAt)
  })
}

const prepare = async (engine: Engine, vm: Vm): Promise<Restoration> => {
  requireWhole(vm)
  const hypervisor = await hypervisorOf(engine, vm)
  if (!hypervisor.load) throw new VmctlError('vmctl::backend::not_available', `The backend ${vm.backend} cannot load a VM.`)
  return hypervisor.load(vm, optionsFor(engine, vm)).catch((error: unknown) => {
    throw withAdvice(error, vm)
  })
}

/** What a person can do whose guest cannot be loaded. */
const withAdvice = (error: unknown, {name, saved}: Vm): unknown => {
  if (!isVmctlError(error)) return error
  if (!isFailure(error, 'vmctl::snapshot::incompatible') && !isFailure(error, 'vmctl::snapshot::damaged')) return error
  return error.reword({
    help: `${name} stays saved, as of ${saved?.savedAt}. To boot it from its disk instead, as after a power cut, without what its guest had only in memory: \`vmctl start ${name} --discard-saved\`.`,
  })
}

const settle = async (vm: Vm): Promise<void> => {
  const {suspendedAt: _suspended, ...rest} = vm
  // What was seen of the guest before is no news of the one that goes on.
  await remove(vmFiles(vm.directory).health)
  await writeVm(rest)
  await removeSavedMemory(vm)
}

/** Ends a guest that was loaded and has executed nothing. */
const endLoaded = async (engine: Engine, vm: Vm): Promise<void> =>
  (await hypervisorOf(engine, vm)).stop(vm, {...operation(engine, vm), signal: new AbortController().signal, timeoutMs: 0})

/** Gives up what a saved guest had in memory, as a power cut does. */
export const discardSaved = async (engine: Engine, vm: Vm): Promise<Vm> => {
  if (!vm.saved) return vm
  // What a killed command may have left of it must not be taken for a VM that runs.
  await endLoaded(engine, vm)
  await forgetSaved(vm)
  await removeSavedMemory(vm)
  const {saved: _saved, suspendedAt: _suspended, ...rest} = vm
  return rest
}

/** A VM whose guest can be asked for something: one that is saved goes on first, so that nothing it has in memory is lost. */
export const awake = async (engine: Engine, vm: Vm): Promise<Vm> => {
  if (!vm.saved) return vm
  await loadVms(engine, [vm])
  return requireVm(engine.store, vm.name)
}

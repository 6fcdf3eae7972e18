import {chmod, copyFile} from 'node:fs/promises'
import {join} from 'node:path'

import {beginLayer, finishLayer, layerPath, undoLayer} from '../../host/disk-layers.ts'
import {link, syncFile} from '../../host/durable.ts'
import {pathExists} from '../../host/files.ts'
import type {ProcessIdentity} from '../../host/proc.ts'
import {VmctlError} from '../../model/errors.ts'
import {whyUnsaveable} from '../../model/saveable.ts'
import type {Vm} from '../../model/vm.ts'
import type {Checkpoint, CheckpointOptions, ForkOptions} from '../hypervisor.ts'
import {forkDisks, freezeDisks} from '../local-checkpoint.ts'
import {writableDisks} from '../local-disk.ts'
import {addNext, forgetNext, recoverTops, runningDisks, switchToNext} from './block-nodes.ts'
import {copyPrivately} from './disk.ts'
import {qemuFiles} from './files.ts'
import {letGo, startGuard} from './guard.ts'
import {machineFile, recordMachine} from './machine.ts'
import {memoryFile, type MemoryTransfer, refusalOf, saveMemory} from './memory.ts'
import {findAnyProcess} from './process.ts'
import {connectQmp, type QmpClient} from './qmp.ts'
import {readRuntime, writeRuntime} from './runtime.ts'

export const qemuCheckpoint = async (vm: Vm, options: CheckpointOptions): Promise<Checkpoint> => {
  const running = vm.saved ? undefined : await findAnyProcess(vm)
  return running ? beginRunning(vm, running, options) : atRest(vm, options)
}

/** Where a checkpoint keeps the variables of the firmware. */
export const keptVariables = (directory: string): string => join(directory, 'efivars.fd')

const keepVariables = async ({directory}: Vm, to: string): Promise<void> => {
  const {efivars} = qemuFiles(directory)
  if (!(await pathExists(efivars))) return
  await copyFile(efivars, keptVariables(to))
  await chmod(keptVariables(to), 0o600)
}

/** Gives a fork the disks and the variables of the firmware that a VM had at a checkpoint. */
export const qemuFork = async (vm: Vm, fork: Vm, options: ForkOptions): Promise<void> => {
  await forkDisks(vm, fork, options)
  const kept = keptVariables(options.directory)
  if (await pathExists(kept)) await copyPrivately(kept, qemuFiles(fork.directory).efivars)
  const runtime = options.shared ? await readRuntime(vm.directory) : undefined
  // Guests know their interface by it. On the wires of a fork there is no other one.
  if (runtime) await writeRuntime(fork.directory, {schema: 1, name: fork.name, macAddress: runtime.macAddress})
}

/** The memory of a saved guest, which nobody writes to any more, gets a second name. */
const keepSaved = async (from: string, to: string): Promise<void> => {
  for (const file of [memoryFile, machineFile]) await link(file(from), file(to))
}

const atRest = (vm: Vm, options: CheckpointOptions): Checkpoint => ({
  hasMemory: options.memory && vm.saved !== undefined,
  ready: async () => undefined,
  hold: async () => undefined,
  async seal() {
    await keepVariables(vm, options.directory)
    if (options.memory && vm.saved) await keepSaved(qemuFiles(vm.directory).savedMemory, options.directory)
    await freezeDisks(vm, options)
  },
  release: async () => undefined,
  settle: async () => undefined,
  // A disk shows the same with its new top; what is below goes with the next `trim`.
  [Symbol.asyncDispose]: async () => {
    for (const disk of await writableDisks(vm)) await finishLayer(disk)
  },
})

/** @throws VmctlError `vmctl::snapshot::unsupported` */
export const requireSaveable = async ({name, spec, attachments}: Vm, qmp: QmpClient): Promise<void> => {
  const reason = await refusalOf(qmp)
  const why = whyUnsaveable({devices: spec.devices, shares: attachments?.folders}) ?? reason
  if (why !== undefined) throw new VmctlError('vmctl::snapshot::unsupported', `The memory of ${name} cannot be saved: ${why}.`)
}

/** What a checkpoint of a VM that runs has come to. */
interface Progress {
  hasSwitched: boolean
  isHeld: boolean
  isSettled: boolean
  endGuard?: () => Promise<void>
}

const beginRunning = async (vm: Vm, process: ProcessIdentity, options: CheckpointOptions): Promise<Checkpoint> => {
  const {id, signal, memory, directory} = options
  await letGo(vm.directory)
  const disks = runningDisks(vm)
  const qmp = await connectQmp(qemuFiles(vm.directory).monitorSocket, {timeoutMs: 10_000, signal})
  const state: Progress = {hasSwitched: false, isHeld: false, isSettled: false}
  let transfer: MemoryTransfer | undefined
  const undo = async (): Promise<void> => {
    using client = qmp
    await transfer?.[Symbol.asyncDispose]()
    if (!state.isSettled) {
      for (const disk of disks) {
        if (state.hasSwitched) await finishLayer(disk.path)
        else {
          await forgetNext(client, disk, id)
          await undoLayer(disk.path, id)
        }
      }
      if (state.isHeld) await client.execute('cont')
    }
    await state.endGuard?.()
  }
  try {
    await recoverTops(qmp, disks)
    const isRunning = await runs(qmp)
    if (memory) {
      await requireSaveable(vm, qmp)
      await recordMachine(directory, qmp, {process, isRunning})
    }
    for (const disk of disks) {
      await beginLayer(disk.path, layerPath(disk.path, id), {signal})
      await addNext(qmp, disk, id)
    }
    if (memory) transfer = await saveMemory(vm, qmp, {path: memoryFile(directory), signal})
    return {
      hasMemory: memory,
      async ready() {
        if (isRunning) state.endGuard = await startGuard(vm)
        await transfer?.ready()
      },
      async hold() {
        if (!isRunning) return
        state.isHeld = true
        await qmp.execute('stop')
      },
      async seal() {
        await switchToNext(qmp, disks, id)
        state.hasSwitched = true
        await keepVariables(vm, directory)
        await transfer?.finish()
      },
      async release() {
        // One that was suspended is brought back from where the transfer of its memory has left it.
        if (isRunning || transfer) await qmp.execute('cont')
        if (!isRunning && transfer) await qmp.execute('stop')
        state.isHeld = false
        await state.endGuard?.()
      },
      async settle() {
        for (const disk of disks) await finishLayer(disk.path)
        await transfer?.saved
        if (transfer) await syncFile(memoryFile(directory))
        state.isSettled = true
      },
      [Symbol.asyncDispose]: undo,
    }
  } catch (error) {
    await undo()
    throw error
  }
}

export const runs = async (qmp: QmpClient): Promise<boolean> => {
  const status = await qmp.execute('query-status')
  return typeof status === 'object' && status !== null && 'running' in status && status.running === true
}

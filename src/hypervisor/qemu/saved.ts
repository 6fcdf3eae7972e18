import {syncDirectory, syncFile} from '../../host/durable.ts'
import {pathExists} from '../../host/files.ts'
import {VmctlError} from '../../model/errors.ts'
import type {Vm} from '../../model/vm.ts'
import type {Checkpoint, Restoration, SaveOptions} from '../hypervisor.ts'
import {recoverTops, runningDisks} from './block-nodes.ts'
import {requireSaveable, runs} from './checkpoint.ts'
import {qemuFailures} from './failures.ts'
import {qemuFiles} from './files.ts'
import {letGo, startGuard} from './guard.ts'
import {readMachine, recordMachine, requireSameMachine} from './machine.ts'
import {loadMemory, memoryFile, type MemoryTransfer, saveMemory} from './memory.ts'
import {findAnyProcess} from './process.ts'
import {connectQmp, withMonitor} from './qmp.ts'
import type {Starting} from './restore.ts'

type Ending = Pick<Starting, 'end'>

/** What saving a guest has come to. */
interface Progress {
  isHeld: boolean
  isSent: boolean
  endGuard?: () => Promise<void>
}

export const qemuSave = async (vm: Vm, {directory, mark, signal}: SaveOptions, {end}: Ending): Promise<Checkpoint> => {
  const process = await findAnyProcess(vm)
  if (!process) throw new VmctlError('vmctl::vm::invalid_state', `VM ${vm.name} does not run; there is no memory to save.`)
  await letGo(vm.directory)
  const qmp = await connectQmp(qemuFiles(vm.directory).monitorSocket, {timeoutMs: 10_000, signal})
  const state: Progress = {isHeld: false, isSent: false}
  let transfer: MemoryTransfer | undefined
  let isRunning = true
  const goOn = async (): Promise<void> => {
    await transfer?.[Symbol.asyncDispose]()
    if (!state.isHeld && !state.isSent) return
    // From where the transfer has left it; one that was suspended stands still again.
    await qmp.execute('cont')
    if (!isRunning) await qmp.execute('stop')
  }
  const dispose = async (): Promise<void> => {
    using _client = qmp
    if (await pathExists(mark)) {
      await transfer?.[Symbol.asyncDispose]()
      await end(vm)
    } else await goOn()
    await state.endGuard?.()
  }
  try {
    await recoverTops(qmp, runningDisks(vm))
    isRunning = await runs(qmp)
    await requireSaveable(vm, qmp)
    await recordMachine(directory, qmp, {process, isRunning})
    transfer = await saveMemory(vm, qmp, {path: memoryFile(directory), signal})
    return {
      hasMemory: true,
      async ready() {
        state.endGuard = await startGuard(vm, {runs: isRunning, unless: {mark, qemu: process}})
        await transfer?.ready()
      },
      async hold() {
        if (!isRunning) return
        state.isHeld = true
        await qmp.execute('stop')
      },
      async seal() {
        await transfer?.finish()
        state.isSent = true
      },
      release: async () => undefined,
      async settle() {
        await transfer?.saved
        await syncFile(memoryFile(directory))
        // What it had sent to its disks may be with the host still.
        for (const {path} of runningDisks(vm)) await syncFile(path)
        await syncDirectory(directory)
      },
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await dispose()
    throw error
  }
}

export const qemuLoad = async (vm: Vm, {directory, mark, ...options}: SaveOptions, starting: Starting): Promise<Restoration> => {
  const {signal} = options
  const machine = await readMachine(directory)
  const seed = machine.arguments.some((arg) => arg.startsWith('scsi-cd,'))
  await requireSameMachine(vm.name, machine, await starting.command(vm, {seed, signal}))
  let endGuard: (() => Promise<void>) | undefined
  return {
    async load() {
      // One that was saved, or loaded, by a command that was killed then.
      if (await findAnyProcess(vm)) await starting.end(vm)
      await starting.startEmpty(vm, options)
      try {
        const process = await findAnyProcess(vm)
        if (!process) throw new VmctlError(qemuFailures.spawnFailed, 'QEMU has ended before the memory of the guest was loaded.')
        endGuard = await startGuard(vm, {runs: true, unless: {mark, qemu: process}})
        using qmp = await connectQmp(qemuFiles(vm.directory).monitorSocket, {timeoutMs: 10_000, signal})
        await loadMemory(vm, qmp, {path: memoryFile(directory), signal})
      } catch (error) {
        await starting.end(vm)
        throw error
      }
    },
    async release() {
      await withMonitor(vm, (qmp) => qmp.execute('cont'))
      await endGuard?.()
    },
  }
}

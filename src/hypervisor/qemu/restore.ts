import {copyFile} from 'node:fs/promises'

import {pathExists} from '../../host/files.ts'
import {revertDisks, requireDisks} from '../local-checkpoint.ts'
import type {Vm} from '../../model/vm.ts'
import type {CheckpointOptions, OperationOptions, Restoration} from '../hypervisor.ts'
import {keptVariables} from './checkpoint.ts'
import {qemuFiles} from './files.ts'
import {readMachine, requireSameMachine} from './machine.ts'
import {loadMemory, memoryFile} from './memory.ts'
import {connectQmp, withMonitor} from './qmp.ts'

/** What restoring needs of the life of a VM. */
export interface Starting {
  /** What QEMU would be started with now. */
  command(
    vm: Vm,
    options: {readonly seed: boolean; readonly signal: AbortSignal},
  ): Promise<{readonly binary: string; readonly arguments: readonly string[]}>
  /** Starts a QEMU that waits for the memory of its guest. */
  startEmpty(vm: Vm, options: OperationOptions): Promise<void>
  /** Ends it. */
  end(vm: Vm): Promise<void>
}

export const qemuRestore = async (vm: Vm, options: CheckpointOptions, starting: Starting): Promise<Restoration> => {
  const {memory, directory, signal} = options
  await requireDisks(vm, options)
  const machine = memory ? await readMachine(directory) : undefined
  if (machine) {
    const seed = machine.arguments.some((arg) => arg.startsWith('scsi-cd,'))
    await requireSameMachine(vm.name, machine, await starting.command(vm, {seed, signal}))
  }
  return {
    async load() {
      await revertDisks(vm, options)
      if (await pathExists(keptVariables(directory))) await copyFile(keptVariables(directory), qemuFiles(vm.directory).efivars)
      if (!machine) return
      await starting.startEmpty(vm, options)
      try {
        using qmp = await connectQmp(qemuFiles(vm.directory).monitorSocket, {timeoutMs: 10_000, signal})
        await loadMemory(vm, qmp, {path: memoryFile(directory), signal})
      } catch (error) {
        await starting.end(vm)
        throw error
      }
    },
    async release() {
      if (machine?.isRunning) await withMonitor(vm, (qmp) => qmp.execute('cont'))
    },
  }
}

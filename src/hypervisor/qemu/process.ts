import {open} from 'node:fs/promises'

import {readIfExists, readOwnIfExists} from '../../host/files.ts'
import {endForCertain, identifyProcess, isAlive, listProcesses, type ProcessIdentity, processArguments, worksIn} from '../../host/proc.ts'
import {type DetachedProcess, spawnDetached} from '../../host/process.ts'
import {messageOf, systemCode, VmctlError} from '../../model/errors.ts'
import {qemuFiles} from './files.ts'
import type {Vm} from '../../model/vm.ts'
import {readRuntime} from './runtime.ts'
import {qemuFailures} from './failures.ts'

/**
 * Whether the process is the QEMU of this VM: it works in the VM's directory, and its command line holds the VM's UUID as
 * QEMU's option. The command line alone proves nothing: that of a `pgrep -f` or an editor may hold it as well.
 */
const isQemuOf = async (pid: number, vm: Vm): Promise<boolean> => {
  const args = await processArguments(pid)
  const option = args.indexOf('-uuid')
  return option > 0 && args[option + 1] === vm.id && (await worksIn(pid, vm.directory))
}

/**
 * The QEMU process of a VM, or undefined when none is alive. Never trusts a number alone: the recorded identity must
 * be alive (PID, start time and boot), or the process in the pid file must carry the VM's UUID.
 */
export const findProcess = async (vm: Vm): Promise<ProcessIdentity | undefined> => {
  const recorded = (await readRuntime(vm.directory))?.process
  if (recorded && (await isAlive(recorded))) return recorded
  const pid = Number(readOwnIfExists(qemuFiles(vm.directory).pidfile))
  if (Number.isInteger(pid) && pid > 1 && (await isQemuOf(pid, vm))) return identifyProcess(pid)
  return undefined
}

/**
 * Like `findProcess`, and also looks at every process of the host: a vmctl that was killed in the moment of
 * starting QEMU leaves one that no file names yet. For verbs that are about to change something.
 */
export const findAnyProcess = async (vm: Vm): Promise<ProcessIdentity | undefined> => {
  const known = await findProcess(vm)
  if (known) return known
  for (const pid of await listProcesses()) {
    if (await isQemuOf(pid, vm)) return identifyProcess(pid)
  }
  return undefined
}

export interface SpawnedQemu extends DetachedProcess {
  /** What it has written to qemu.log since it was started. */
  messages(): Promise<string>
}

/**
 * Starts QEMU in a session of its own, so that it outlives this process and its terminal.
 * Its working directory is the VM's, which lets socket paths be relative and thus short enough for the kernel.
 */
export const spawnQemu = async (vm: Vm, binary: string, args: readonly string[]): Promise<SpawnedQemu> => {
  const logPath = qemuFiles(vm.directory).qemuLog
  const log = await open(logPath, 'a', 0o600)
  try {
    await log.chmod(0o600)
    const {size} = await log.stat()
    const child = await spawnDetached(binary, args, {cwd: vm.directory, output: log}).catch((error: unknown) => {
      throw systemCode(error) === 'ENOENT'
        ? new VmctlError(qemuFailures.notInstalled, `${binary} is not installed or not on PATH.`, {cause: error})
        : new VmctlError(qemuFailures.spawnFailed, `Cannot run ${binary}: ${messageOf(error)}`, {cause: error})
    })
    const messages = async (): Promise<string> =>
      Buffer.from((await readIfExists(logPath)) ?? '')
        .subarray(size)
        .toString()
        .trim()
    return {...child, messages}
  } finally {
    await log.close()
  }
}

/** Ends QEMU for certain: SIGTERM, three seconds, SIGKILL. */
export const endProcess = async (identity: ProcessIdentity): Promise<void> => {
  if (await endForCertain(identity)) return
  throw new VmctlError(qemuFailures.processSurvived, `The QEMU process ${identity.pid} did not end after SIGKILL.`)
}

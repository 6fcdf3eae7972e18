import {open} from 'node:fs/promises'

import {identifyProcess} from '../../host/proc.ts'
import {lastLines} from '../../host/process.ts'
import {isVmctlError, messageOf, VmctlError} from '../../model/errors.ts'
import {qemuFiles} from './files.ts'
import type {Vm} from '../../model/vm.ts'
import {qemuArguments} from './arguments.ts'
import type {LaunchFacts} from './launch-facts.ts'
import {refusedForward, takenSide} from './forwards.ts'
import {endProcess, type SpawnedQemu, spawnQemu} from './process.ts'
import {connectQmp, type QmpClient} from './qmp.ts'
import type {QemuRuntime} from './runtime.ts'
import {qemuFailures} from './failures.ts'

/** QEMU answers 20 ms after its start; a busy machine may take far longer. */
const monitorDeadlineMs = 30_000

/**
 * Starts QEMU and waits until its monitor says that the guest executes.
 * @returns who it is, or the rule of a forward whose port was taken, up to the guest's side, with the error that says by whom
 * @throws VmctlError `vmctl::qemu::spawn_failed` with what QEMU said; no process is left then
 */
export const launch = async (
  vm: Vm,
  binary: string,
  facts: LaunchFacts,
  signal: AbortSignal,
): Promise<Pick<QemuRuntime, 'process' | 'vncAddress' | 'consoleFrom'> | {readonly taken: string; readonly error: VmctlError}> => {
  const consoleFrom = await createConsoleLog(vm)
  signal.throwIfAborted()
  const child = await spawnQemu(vm, binary, qemuArguments(vm, facts))
  const identity = await identifyProcess(child.pid)
  const over = new AbortController()
  try {
    using qmp = await Promise.race([greet(vm, AbortSignal.any([signal, over.signal])), failed(child, binary)])
    const vncAddress = await vncAddressOf(qmp)
    return {consoleFrom, ...(identity && {process: identity}), ...(vncAddress !== undefined && {vncAddress})}
  } catch (error) {
    if (identity) await endProcess(identity)
    const refused = isVmctlError(error) ? await refusedForward(error.message) : undefined
    const taken = takenSide(messageOf(error))
    if (refused && taken !== undefined) return {taken, error: refused}
    throw refused ?? lockedDisk(vm, error) ?? error
  } finally {
    // The next QEMU listens at the same place.
    over.abort()
  }
}

/** QEMU's locks on its images have the last word on who may write to a volume. */
const lockedDisk = (vm: Vm, error: unknown): VmctlError | undefined => {
  if (!/Failed to get .*lock/.test(messageOf(error)) || !vm.attachments?.disks.length) return undefined
  const paths = vm.attachments.disks.map(({path}) => path)
  return new VmctlError('vmctl::volume::in_use', `A volume of ${vm.name} is in use by another process: ${paths.join(', ')}.`, {
    cause: error,
  })
}

/**
 * Made here and not by QEMU, so that its mode is right whatever the umask. An empty line parts one start from the next.
 * @returns where this start begins, in bytes
 */
const createConsoleLog = async (vm: Vm): Promise<number> => {
  await using log = await open(qemuFiles(vm.directory).consoleLog, 'a', 0o600)
  await log.chmod(0o600)
  if ((await log.stat()).size > 0) await log.write('\n')
  return (await log.stat()).size
}

/** Connects as soon as QEMU listens. Of a QEMU that ends before, `failed` knows more than the refused connection tells. */
const greet = async (vm: Vm, signal: AbortSignal): Promise<QmpClient> => {
  const deadline = performance.now() + monitorDeadlineMs
  for (;;) {
    signal.throwIfAborted()
    try {
      return await connectQmp(qemuFiles(vm.directory).monitorSocket, {timeoutMs: 5000, signal})
    } catch (error) {
      if (performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

const failed = async (child: SpawnedQemu, binary: string): Promise<never> => {
  const how = await child.ended
  const said = lastLines(await child.messages(), 5)
  throw new VmctlError(qemuFailures.spawnFailed, `${binary} ended at once (${how}): ${said || 'it said nothing'}`)
}

/** Where QEMU offers VNC, when `qemu { args "-vnc" … }` asked for it. */
const vncAddressOf = async (qmp: QmpClient): Promise<string | undefined> => {
  const answer = await qmp.execute('query-vnc').catch(() => undefined)
  if (typeof answer !== 'object' || answer === null || !('enabled' in answer) || answer.enabled !== true) return undefined
  const {host, service} = {host: '', service: '', ...answer}
  return host === '' ? undefined : `${host}:${service}`
}

import {open} from 'node:fs/promises'

import {remove} from '../../host/durable.ts'
import {pathExists, readOwnIfExists, writeFileAtomic} from '../../host/files.ts'
import {ownProgram} from '../../host/own-program.ts'
import {endForCertain, identifyProcess, isAlive, isIdentity, type ProcessIdentity} from '../../host/proc.ts'
import {spawnDetached} from '../../host/process.ts'
import type {Vm} from '../../model/vm.ts'
import {qemuFiles} from './files.ts'
import {connectQmp} from './qmp.ts'

/** What becomes of a held guest when its holder is dead. */
interface Fate {
  /** Whether it runs then; it was suspended when not. */
  readonly runs: boolean
  /** When this file is there the guest is saved, and its QEMU is ended. */
  readonly unless?: {readonly mark: string; readonly qemu: ProcessIdentity}
}

interface Held {
  readonly holder: ProcessIdentity
  readonly fate: Fate
}

/**
 * Says who holds the guest of a VM, and starts a process that decides its fate if that one dies: QEMU itself would stand still for ever.
 * @returns forgets both
 */
export const startGuard = async ({directory}: Pick<Vm, 'directory'>, fate: Fate = {runs: true}): Promise<() => Promise<void>> => {
  const {held, qemuLog} = qemuFiles(directory)
  await writeFileAtomic(held, JSON.stringify({holder: await identifyProcess(process.pid), fate}))
  await using log = await open(qemuLog, 'a', 0o600)
  await spawnDetached(process.execPath, [...ownProgram('hypervisor/qemu/guard-program'), directory], {cwd: directory, output: log, env: {}})
  return () => remove(held)
}

const heldIn = (directory: string): Held | undefined => {
  const text = readOwnIfExists(qemuFiles(directory).held)
  try {
    const value: unknown = JSON.parse(text ?? 'null')
    return isHeld(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isHeld = (value: unknown): value is Held =>
  typeof value === 'object' &&
  value !== null &&
  'holder' in value &&
  isIdentity(value.holder) &&
  'fate' in value &&
  typeof value.fate === 'object' &&
  value.fate !== null &&
  'runs' in value.fate

/** Whether somebody alive still holds the guest. */
export const guardLives = async (directory: string): Promise<boolean> => {
  const held = heldIn(directory)
  return held !== undefined && isAlive(held.holder)
}

/** What a process that is dead has held; undefined for any other. */
const abandoned = async (directory: string): Promise<Fate | undefined> => {
  const held = heldIn(directory)
  return held && !(await isAlive(held.holder)) ? held.fate : undefined
}

/** Lets a guest go on that a process which is dead has held, or ends its QEMU when the guest is saved; does nothing for any other. */
export const letGo = async (directory: string): Promise<void> => {
  const fate = await abandoned(directory)
  if (!fate) return
  const {unless} = fate
  if (unless && (await pathExists(unless.mark))) await endForCertain(unless.qemu)
  else await goOn(directory)
  await remove(qemuFiles(directory).held)
}

const goOn = async (directory: string): Promise<void> => {
  using qmp = await connectQmp(qemuFiles(directory).monitorSocket, {timeoutMs: 10_000})
  // The monitor serves one at a time: somebody else may hold the guest by now.
  const fate = await abandoned(directory)
  if (!fate) return
  const status = await qmp.execute('query-status')
  if (typeof status !== 'object' || status === null || !('running' in status) || status.running === true) return
  // What it was being saved for has nobody to take it.
  await qmp.execute('migrate_cancel').catch(() => undefined)
  await qmp.execute('cont')
  if (!fate.runs) await qmp.execute('stop')
}

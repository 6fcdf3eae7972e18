import {open} from 'node:fs/promises'

import {remove} from '../../host/durable.ts'
import {readOwnIfExists, writeFileAtomic} from '../../host/files.ts'
import {ownProgram} from '../../host/own-program.ts'
import {identifyProcess, isAlive, parseIdentity} from '../../host/proc.ts'
import {spawnDetached} from '../../host/process.ts'
import type {Vm} from '../../model/vm.ts'
import {qemuFiles} from './files.ts'
import {connectQmp} from './qmp.ts'

/**
 * Says who holds the guest of a VM, and starts a process that lets the guest go on if that one dies: QEMU itself would stand still for ever.
 * @returns forgets both
 */
export const startGuard = async ({directory}: Pick<Vm, 'directory'>): Promise<() => Promise<void>> => {
  const {held, qemuLog} = qemuFiles(directory)
  await writeFileAtomic(held, JSON.stringify(await identifyProcess(process.pid)))
  await using log = await open(qemuLog, 'a', 0o600)
  await spawnDetached(process.execPath, [...ownProgram('hypervisor/qemu/guard-program'), directory], {cwd: directory, output: log, env: {}})
  return () => remove(held)
}

const holderOf = async (directory: string) => {
  const text = readOwnIfExists(qemuFiles(directory).held)
  return text === undefined ? undefined : parseIdentity(text)
}

/** Whether somebody alive still holds the guest. */
export const guardLives = async (directory: string): Promise<boolean> => {
  const holder = await holderOf(directory)
  return holder !== undefined && isAlive(holder)
}

/** Lets a guest go on that a process which is dead has held; does nothing for any other. */
export const letGo = async (directory: string): Promise<void> => {
  const {held, monitorSocket} = qemuFiles(directory)
  const holder = await holderOf(directory)
  if (holder === undefined || (await isAlive(holder))) return
  using qmp = await connectQmp(monitorSocket, {timeoutMs: 10_000})
  const status = await qmp.execute('query-status')
  if (typeof status === 'object' && status !== null && 'running' in status && status.running !== true) {
    // What it was being saved for has nobody to take it.
    await qmp.execute('migrate_cancel').catch(() => undefined)
    await qmp.execute('cont')
  }
  await remove(held)
}

import {readFileSync} from 'node:fs'
import {readdir, readFile, stat as look} from 'node:fs/promises'
import {setTimeout as sleep} from 'node:timers/promises'

import {systemCode} from '../model/errors.ts'

/** A process as the kernel knows it: a PID alone is reused, with the start time and the boot it is not (proc(5), field 22 of stat). */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks after boot. */
  readonly startTime: string
  readonly bootId: string
}

/** Identifies this boot of the host. */
export const hostBootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

/** The identity of a live process; undefined when there is none, or when it has ended and only waits for its parent. */
export const identifyProcess = async (pid: number): Promise<ProcessIdentity | undefined> => {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The program's name is in parentheses and may itself hold blanks and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, startTime] = [fields[0], fields[19]]
    if (state === 'Z' || state === 'X' || startTime === undefined) return undefined
    return {pid, startTime, bootId: hostBootId()}
  } catch {
    return undefined
  }
}

/** User and system time in `stat` are in ticks of 1/100 s on every Linux (proc(5), USER_HZ). */
const ticksPerSecond = 100

/** The processor time that a process has used, in seconds; undefined when it is gone. */
export const cpuSecondsOf = async (pid: number): Promise<number | undefined> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (stat === undefined) return undefined
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Whether a thread of a process runs, waits for a processor, or waits in the kernel for a device: a host that is busy makes nobody idle. */
export const isBusy = async (pid: number): Promise<boolean> => {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const stats = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8').catch(() => '')))
  return stats.some((stat) => /\) [RD] [^)]*$/.test(stat))
}

/** Whether exactly this process is alive. */
export const isAlive = async (identity: ProcessIdentity): Promise<boolean> => {
  const now = await identifyProcess(identity.pid)
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId
}

/** The arguments of a process, program first; empty when it is gone or not ours to read. */
export const processArguments = async (pid: number): Promise<string[]> => {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1)
  } catch {
    return []
  }
}

/** Whether a process works in a directory, however that was reached; false when the process is gone or not ours to look at. */
export const worksIn = async (pid: number, directory: string): Promise<boolean> => {
  try {
    const [one, other] = await Promise.all([look(`/proc/${pid}/cwd`), look(directory)])
    return one.ino === other.ino && one.dev === other.dev
  } catch {
    return false
  }
}

/** Every PID of the host that can be seen. */
export const listProcesses = async (): Promise<number[]> => {
  const entries = await readdir('/proc').catch(() => [])
  return entries.filter((entry) => /^\d+$/.test(entry)).map(Number)
}

/** Sends a signal to exactly this process: nothing happens when it has ended, even if its number was given to another. */
const signalProcess = async (identity: ProcessIdentity, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
  if (!(await isAlive(identity))) return
  try {
    process.kill(identity.pid, signal)
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error
  }
}

/** Waits until the process has ended; resolves to false when the time is up. */
export const waitForEnd = async (identity: ProcessIdentity, timeoutMs: number, signal?: AbortSignal): Promise<boolean> => {
  const deadline = performance.now() + timeoutMs
  while (await isAlive(identity)) {
    signal?.throwIfAborted()
    if (performance.now() >= deadline) return false
    await sleep(20)
  }
  return true
}

/** Ends a process for certain: SIGTERM, three seconds, SIGKILL. Resolves to whether it is gone. */
export const endForCertain = async (identity: ProcessIdentity): Promise<boolean> => {
  await signalProcess(identity, 'SIGTERM')
  if (await waitForEnd(identity, 3000)) return true
  await signalProcess(identity, 'SIGKILL')
  return waitForEnd(identity, 10_000)
}

/** Reads an identity that was written as JSON; undefined for anything else. */
export const parseIdentity = (text: string): ProcessIdentity | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isIdentity(value) ? value : undefined
  } catch {
    return undefined
  }
}

export const isIdentity = (value: unknown): value is ProcessIdentity =>
  typeof value === 'object' &&
  value !== null &&
  'pid' in value &&
  Number.isInteger(value.pid) &&
  'startTime' in value &&
  typeof value.startTime === 'string' &&
  'bootId' in value &&
  typeof value.bootId === 'string'

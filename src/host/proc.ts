import {readFileSync} from 'node:fs'
import {readdir, readFile} from 'node:fs/promises'

/** A process as the kernel knows it: a PID alone is reused, with the start time and the boot it is not (proc(5), field 22 of stat). */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks after boot. */
  readonly startTime: string
  readonly bootId: string
}

/** Identifies this boot of this computer. */
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

/** Every PID of this computer that can be seen. */
export const listProcesses = async (): Promise<number[]> => {
  const entries = await readdir('/proc').catch(() => [])
  return entries.filter((entry) => /^\d+$/.test(entry)).map(Number)
}

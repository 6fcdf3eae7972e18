import {readEnd} from '../../host/files.ts'
import {stripControls} from '../../model/strip.ts'

/**
 * The last that a Linux says which has panicked and stays so: panic() in kernel/panic.c prints it only when it does not reboot, at
 * the level that no `quiet` silences, and lets nothing be printed after it.
 */
const lastWords = /---\[ end Kernel panic - not syncing: ([^\r\n]*) \]---\r?\n?$/

const endBytes = 1024

/**
 * The reason of a kernel that hangs in a panic, from the end of its console's log; undefined when it does not. No device of QEMU is
 * asked: pvpanic needs a driver in the guest, and would stop guests too that reboot by themselves.
 */
export const findPanic = async (consoleLog: string): Promise<string | undefined> => {
  const reason = lastWords.exec(await readEnd(consoleLog, endBytes))?.[1]
  // A guest can write such a line itself, with anything in it.
  return reason && stripControls(reason)
}

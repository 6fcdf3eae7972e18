import {stat} from 'node:fs/promises'

import {readEnd} from '../../host/files.ts'
import {stripControls} from '../../model/strip.ts'
import type {Vm} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import {consoleLogOf} from '../reach/console-log.ts'

/** Linux prints this line at the level that no `quiet` silences, whether it reboots then or not; the one that begins with `---[ end` repeats it. */
const panicLine = /(?<!\[ end )Kernel panic - not syncing: [^\r\n]+/g

/** Of a console that has grown more since, the end is read; a boot writes a tenth of that. */
const longestBytes = 2 ** 20

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({size}) => size,
    () => 0,
  )

/**
 * Asked when the guest has restarted by itself: the last panic of its kernel that its console shows from now on.
 * @param from a byte of the console's log to begin at instead, for what has happened before
 */
export const watchPanics = async (engine: Engine, vm: Vm, from?: number): Promise<() => Promise<string | undefined>> => {
  const start = from ?? (await sizeOf(await consoleLogOf(engine, vm)))
  return async () => {
    const consoleLog = await consoleLogOf(engine, vm)
    const grown = (await sizeOf(consoleLog)) - start
    if (grown <= 0) return undefined
    const [line] = (await readEnd(consoleLog, Math.min(grown, longestBytes))).match(panicLine)?.slice(-1) ?? []
    return line === undefined ? undefined : stripControls(line).trimEnd()
  }
}

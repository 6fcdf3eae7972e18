import {PassThrough} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'

import {elevate} from '../model/elevate.ts'
import {VmctlError} from '../model/errors.ts'
import {programText, shellCommand} from '../model/guest-program.ts'
import {setClock} from './programs/index.ts'
import type {GuestConnection} from './ssh/connection.ts'

export interface ClockResult {
  /** Whether the clock was behind and is right now. */
  readonly isSet: boolean
  /** Whole seconds that it was behind; negative when it was ahead. */
  readonly behindSeconds: number
}

/**
 * Sets the clock of a guest to the time of the host when it is behind, by at most `mostSeconds`. It is set as a second begins, because
 * the `date` of small guests takes no fractions.
 * @throws VmctlError `vmctl::ssh::failed` with the guest's words when it cannot be set
 */
export const correctClock = async (
  connection: Pick<GuestConnection, 'exec'>,
  {mostSeconds, signal}: {readonly mostSeconds?: number | undefined; readonly signal: AbortSignal},
): Promise<ClockResult> => {
  const stdin = new PassThrough()
  let [output, errors] = ['', '']
  const {code} = await connection.exec(elevate(shellCommand(programText(setClock, {most_seconds: mostSeconds ?? ''}))), {
    stdin,
    signal,
    onStdout(chunk) {
      const isReady = output.includes('ready\n')
      output += chunk.toString()
      if (!isReady && output.includes('ready\n')) void writeTime(stdin)
    },
    onStderr(chunk) {
      errors += chunk.toString()
    },
  })
  const [, verdict, seconds] = /\n(set|kept) (-?\d+)\n$/.exec(output) ?? []
  if (verdict === undefined) {
    const said = errors.trim().split('\n').at(-1) || `exit status ${code}`
    throw new VmctlError('vmctl::ssh::failed', `The clock of the guest cannot be set: ${said}`)
  }
  return {isSet: verdict === 'set', behindSeconds: Number(seconds)}
}

/** The time of small guests is read from a clock that ticks every 10 ms only. */
const tickMs = 30

const writeTime = async (stdin: PassThrough): Promise<void> => {
  const second = Math.floor(Date.now() / 1000) + 1
  await at(second * 1000 + tickMs)
  stdin.write(`${second}\n`)
  await at((second + 1) * 1000)
  stdin.end(`${second + 1}\n`)
}

const at = async (timeMs: number): Promise<void> => {
  // A timer may be a little early by the other clock.
  while (Date.now() < timeMs) await sleep(timeMs - Date.now())
}

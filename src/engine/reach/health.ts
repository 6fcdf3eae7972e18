import {setTimeout as sleep} from 'node:timers/promises'

import {probe} from '../../guest/health.ts'
import type {GuestConnection} from '../../guest/ssh/connection.ts'
import {isFailure, messageOf, VmctlError} from '../../model/errors.ts'
import {advance, type Health, type ProbeResult} from '../../model/health.ts'
import type {Healthcheck} from '../../model/health.ts'
import type {Vm, VmSpec} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import {writeHealth} from './health-record.ts'
import {waitForGuest} from './wait.ts'

/** Somebody who waits asks soon at first, then less and less often. */
const pausesMs = {first: 500, longest: 5000, growth: 1.5} as const

/** Turns for somebody who waits, the first at once. It ends only by `signal`. */
export const turns = async function* (signal: AbortSignal, longestMs: number = pausesMs.longest): AsyncGenerator<void, never> {
  for (let pauseMs: number = pausesMs.first; ; pauseMs = Math.min(pauseMs * pausesMs.growth, pausesMs.longest)) {
    yield
    await sleep(Math.min(pauseMs, longestMs), undefined, {signal}).catch(() => signal.throwIfAborted())
  }
}

/**
 * Probes a guest until it is healthy.
 * @param spec whose health check and environment count, which may be newer than the VM's record
 * @throws VmctlError `vmctl::guest::unhealthy` with what the check said last, after as many failures as the check allows
 */
export const awaitHealthy = async (engine: Engine, vm: Vm, {healthcheck: check, env = {}}: VmSpec): Promise<void> => {
  if (!check) return
  const {signal} = engine
  // A verdict of before says nothing about the guest as it is now being brought up.
  let health: Health | undefined
  let connection: GuestConnection | undefined
  try {
    for await (const _turn of turns(signal, check.intervalMs)) {
      connection ??= (await waitForGuest(engine, vm)).connection
      const result = await probe(connection, check, {env, signal}).catch((error: unknown) => {
        connection?.close()
        connection = undefined
        return failedProbe(error)
      })
      health = advance(health, {vm: vm.id, check, result, at: new Date()})
      await writeHealth(vm, health)
      await engine.emit({type: 'health.checked', vm: vm.name, health})
      if (health.status === 'healthy') return
      if (health.status === 'unhealthy') throw unhealthy(vm, check, health)
    }
  } finally {
    connection?.close()
  }
}

/** The result of a probe that could not be made because the connection broke. Any other error is not about the guest. */
const failedProbe = (error: unknown): ProbeResult => {
  if (!isFailure(error, 'vmctl::ssh::connection_lost')) throw error
  return {isGood: false, output: messageOf(error), durationMs: 0}
}

const unhealthy = ({name}: Vm, {retries}: Healthcheck, {last}: Health): VmctlError => {
  const how = last.exitCode === undefined ? '' : ` (exit code ${last.exitCode})`
  const said = last.output === '' ? '' : `\nIt said last:\n  ${last.output.replaceAll('\n', '\n  ')}`
  return new VmctlError(
    'vmctl::guest::unhealthy',
    `${name} is not healthy: its health check failed ${retries} times in a row${how}.${said}`,
    {
      exitCode: last.exitCode,
      details: {output: last.output},
    },
  )
}

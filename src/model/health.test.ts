import {describe, expect, test} from 'vitest'

import {advance, describeHealth, type Health, type ProbeResult} from './health.ts'
import type {Healthcheck} from './health.ts'

const check: Healthcheck = {test: {kind: 'tcp', port: 80}, intervalMs: 10_000, timeoutMs: 1000, retries: 3, startPeriodMs: 60_000}
const good: ProbeResult = {isGood: true, exitCode: 0, output: 'ok', durationMs: 5}
const bad: ProbeResult = {isGood: false, exitCode: 1, output: 'refused', durationMs: 5}

/** What is known after results at these seconds; `+` is a success. */
const after = (
  results: readonly (readonly [seconds: number, sign: '+' | '-'])[],
  change: Partial<Healthcheck> = {},
): Health | undefined => {
  let health: Health | undefined
  for (const [seconds, sign] of results) {
    const at = new Date(Date.parse('2026-01-01T00:00:00Z') + seconds * 1000)
    health = advance(health, {vm: 'id', check: {...check, ...change}, result: sign === '+' ? good : bad, at})
  }
  return health
}

const minus = (...seconds: readonly number[]) => seconds.map((second) => [second, '-'] as const)

describe('a health check', () => {
  test.each([
    ['one success makes healthy', [[0, '+']], {}, 'healthy', 0],
    ['failures in the start period do not count', minus(0, 10, 20, 30, 59), {}, 'starting', 0],
    ['failures after it do', minus(0, 60, 70), {}, 'starting', 2],
    ['as many as there are retries make unhealthy', minus(0, 60, 70, 80), {}, 'unhealthy', 3],
    ['without a start period they count at once', minus(0, 10, 20), {startPeriodMs: 0}, 'unhealthy', 3],
    ['the start period is over with the first success', [[0, '+'], ...minus(10, 20, 30)], {}, 'unhealthy', 3],
    ['a healthy guest stays so until all retries have failed', [[0, '+'], ...minus(10, 20)], {}, 'healthy', 2],
    ['a success begins anew', [[0, '+'], ...minus(10, 20), [30, '+'], ...minus(40)], {}, 'healthy', 1],
    ['an unhealthy guest recovers at once', [...minus(60, 130, 140, 150), [160, '+']], {}, 'healthy', 0],
    ['of several failures within one interval one counts', [[0, '+'], ...minus(10, 11, 12, 13, 19, 20)], {}, 'healthy', 2],
    ['one retry is enough when so asked', [[0, '+'], ...minus(10)], {retries: 1}, 'unhealthy', 1],
  ] as const)('%s', (_, results, change, status, failures) => {
    expect(after(results, change)).toMatchObject({status, failures})
  })

  test('the record says when, and what was said', () => {
    expect(after([...minus(0, 65)])).toEqual({
      schema: 1,
      vm: 'id',
      status: 'starting',
      since: '2026-01-01T00:00:00.000Z',
      failures: 1,
      countedAt: '2026-01-01T00:01:05.000Z',
      checkedAt: '2026-01-01T00:01:05.000Z',
      last: bad,
    })
  })

  test('in words', () => {
    const words = (results: Parameters<typeof after>[0]): string => {
      const health = after(results)
      return health ? describeHealth(health, check) : ''
    }
    expect(words([[0, '+']])).toBe('healthy')
    expect(words([[0, '+'], ...minus(10)])).toBe('healthy, 1 of 3 failed')
    expect(words(minus(0))).toBe('starting')
    expect(words([[0, '+'], ...minus(10, 20, 30)])).toBe('unhealthy')
  })
})

import {afterEach, beforeEach, expect, test, vi} from 'vitest'

import {stallMs, watchLife} from './life.ts'

beforeEach(() => void vi.useFakeTimers({toFake: ['performance']}))
afterEach(() => void vi.useRealTimers())

const busy = (seconds: number) => ({consoleFrom: 0, busy: true, cpuSeconds: seconds, diskReads: 0, diskWrites: 0, connections: 0})

test('a guest that works without a sign is stalled after a while, and the evidence is in words', () => {
  const life = watchLife()
  life.observe('', busy(1))
  vi.advanceTimersByTime(stallMs - 1)
  life.observe('', busy(20))
  expect(life.isStalled()).toBe(false)
  vi.advanceTimersByTime(1)
  life.observe('', busy(21))
  expect(life.isStalled()).toBe(true)
  expect(life.hasSpoken).toBe(false)
  expect(life.describeSilence()).toBe('no byte on the console and no disk read in 20 s; its process uses all of one CPU')
})

test('on a busy host the guest gets less of a processor, which makes it no less stalled', () => {
  const life = watchLife()
  life.observe('', busy(1))
  vi.advanceTimersByTime(stallMs)
  life.observe('', busy(7))
  expect(life.isStalled()).toBe(true)
  expect(life.describeSilence()).toMatch(/; its process is busy all the time$/)
})

test('every kind of sign begins the time anew', () => {
  for (const [text, vitals] of [
    ['x', busy(1)],
    ['', {...busy(1), diskReads: 1}],
    ['', {...busy(1), connections: 1}],
  ] as const) {
    const life = watchLife()
    life.observe('', busy(1))
    vi.advanceTimersByTime(stallMs)
    life.observe(text, vitals)
    expect(life.silentMs()).toBe(0)
    expect(life.isStalled()).toBe(false)
  }
})

test('a guest that is idle, has written to a disk, or of which nothing is known is not stalled', () => {
  for (const vitals of [busy(1.5), {...busy(21), busy: false}, {...busy(21), diskWrites: 3}, undefined]) {
    const life = watchLife()
    life.observe('', vitals && {...vitals, cpuSeconds: 1})
    vi.advanceTimersByTime(stallMs)
    life.observe('', vitals)
    expect(life.isStalled()).toBe(false)
  }
  const idle = watchLife()
  idle.observe('SeaBIOS', busy(1))
  vi.advanceTimersByTime(30_000)
  idle.observe('', {...busy(1.1), busy: false})
  expect(idle.describeSilence()).toBe('no more byte on the console and no more disk read in 30 s; its process waits')
})

import {expect, test} from 'vitest'

import type {EngineEvent} from '../engine/events.ts'
import {watchVm} from './vm-times.ts'

const play = (...script: readonly (readonly [seconds: number, event: EngineEvent])[]) => {
  let now = 0
  const watch = watchVm(() => now)
  for (const [seconds, event] of script) {
    now = seconds * 1000
    watch.note(event)
  }
  return watch
}

const milestone = (name: 'process' | 'ready'): EngineEvent => ({type: 'guest.milestone', milestone: name, detail: ''})

test('the way from the start to a usable guest is booting, and what comes then is steps', () => {
  const {facts} = play(
    [1, {type: 'action.begin', action: 'start'}],
    [2, {type: 'action.end', action: 'start', durationMs: 1000}],
    [2, {type: 'action.begin', action: 'provision'}],
    [3, milestone('process')],
    [23, milestone('ready')],
    [23, {type: 'guest.waited'}],
    // A step may reboot the guest.
    [30, milestone('ready')],
    [33, {type: 'action.end', action: 'provision', durationMs: 31_000}],
  )
  expect(facts).toMatchObject({totalMs: 33_000, bootedMs: 22_000, stepsMs: 10_000})
})

test('a VM that was running has not booted', () => {
  const {facts} = play(
    [0, {type: 'action.begin', action: 'provision'}],
    [1, milestone('ready')],
    [5, {type: 'action.end', action: 'provision', durationMs: 5000}],
  )
  expect(facts.stepsMs).toBe(4000)
  expect(facts.bootedMs).toBeUndefined()
})

test('a console that goes on is a boot, one that is only looked at is none', () => {
  const line = (text: string): EngineEvent => ({type: 'guest.console', line: text, stage: 'system'})
  expect(play([0, line('web login:')]).facts).toMatchObject({isBooting: false, line: 'web login:'})
  expect(play([0, line('a')], [1, line('b')]).facts).toMatchObject({isBooting: true, line: 'b', stage: 'system'})
})

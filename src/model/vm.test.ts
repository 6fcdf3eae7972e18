import {expect, test} from 'vitest'

import {isAlive} from './vm.ts'

test('a VM is alive while anything of it runs, whether its backend has processes or not', () => {
  expect((['running', 'suspended'] as const).map((state) => isAlive({state}))).toEqual([true, true])
  expect((['preparing', 'prepared', 'stopped', 'failed', 'destroyed'] as const).map((state) => isAlive({state}))).toEqual(
    Array.from({length: 5}, () => false),
  )
  expect([isAlive({state: 'failed', pid: 7}), isAlive({state: 'failed', crash: 'the guest has panicked'})]).toEqual([true, true])
})

import {expect, test} from 'vitest'

import {type FailureCode, VmctlError, type FailureFacts} from '../../model/errors.ts'
import {watchRefusals} from './refusals.ts'

/** What is said, and what ends the wait, as one and the same refusal comes again at the given seconds. */
const follow = (
  isSeeded: boolean,
  refusal: {readonly code?: FailureCode; readonly facts?: FailureFacts},
  seconds: readonly number[],
): string[] => {
  let time = 0
  const seen: string[] = []
  const error = new VmctlError(refusal.code ?? 'vmctl::ssh::authentication_failed', 'No.', refusal.facts)
  const refused = watchRefusals({
    isSeeded,
    tell: (message) => seen.push(`${time} ${message}`),
    giveUp: ({message}) => seen.push(`${time} over: ${message}`),
    now: () => time * 1000,
  })
  for (const second of seconds) {
    time = second
    refused(error)
  }
  return seen
}

test('a guest with a seed gets all the time, and a word after a while', () => {
  expect(follow(true, {}, [5, 10, 24, 25, 60, 600])).toEqual(['25 so far: No. Waiting for cloud-init, which may still set up the login.'])
})

test('a guest without a seed is told at once, and given up soon', () => {
  expect(follow(false, {}, [5, 10, 34, 35])).toEqual([
    '5 so far: No. vmctl gave it no user and no key, as it has no cloud-init block.',
    '35 over: No.',
  ])
})

test('a guest without a key of that kind is given up sooner', () => {
  expect(follow(true, {facts: {lacksType: true}}, [1, 10, 11])).toEqual(['11 over: No.'])
  expect(follow(true, {code: 'vmctl::ssh::host_key_mismatch', facts: {lacksType: true}}, [1, 10, 11])).toEqual(['11 over: No.'])
  expect(follow(true, {code: 'vmctl::ssh::host_key_mismatch'}, [1, 100])).toEqual([])
})

test('a server that hangs up before it has seen all keys has not refused', () => {
  expect(follow(false, {facts: {retry: 'later'}}, [1, 100])).toEqual([])
})

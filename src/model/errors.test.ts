import {expect, test} from 'vitest'

import {exitCodeOf, exitCodes, failures, isVmctlError, messageOf, systemCode, VmctlError} from './errors.ts'

test('every failure has a known exit status and says what to do', () => {
  const statuses: readonly number[] = Object.values(exitCodes)
  for (const [code, {exit, help}] of Object.entries(failures)) {
    expect(code).toMatch(/^vmctl::[a-z]+(?:::[a-z_]+)?$/)
    expect(statuses, code).toContain(exit)
    expect(exit, code).not.toBe(0)
    expect(help, code).toMatch(/^\S.*[.?]$/)
  }
})

test('an error of another copy of vmctl is recognised, a stranger is not', () => {
  const foreign = Object.assign(new Error('x'), {code: 'vmctl::io', [Symbol.for('vmctl.error')]: true})
  expect(isVmctlError(foreign)).toBe(true)
  expect(exitCodeOf(foreign)).toBe(exitCodes.host)
  for (const stranger of [new Error('x'), 'vmctl::io', undefined, null, {code: 'vmctl::io'}]) {
    expect(isVmctlError(stranger)).toBe(false)
    expect(exitCodeOf(stranger)).toBe(1)
  }
})

test('the advice of a throw site wins, the cause is kept', () => {
  const cause = Object.assign(new Error('why'), {code: 'ENOENT'})
  const error = new VmctlError('vmctl::io', 'what', {help: 'do this', cause, details: {a: 1}})
  expect(error).toMatchObject({help: 'do this', cause, details: {a: 1}, problems: [], name: 'VmctlError'})
  expect(new VmctlError('vmctl::io', 'what').help).toBe(failures['vmctl::io'].help)
  expect(systemCode(cause)).toBe('ENOENT')
  expect(systemCode({code: 'ENOENT'})).toBeUndefined()
  expect(messageOf('text')).toBe('text')
})

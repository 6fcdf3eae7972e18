import {mkdirSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {expect, test} from 'vitest'

import {
  aboutVm,
  exitCodeOf,
  exitCodes,
  explained,
  failures,
  isVmctlError,
  messageOf,
  severalFailed,
  systemCode,
  VmctlError,
} from './errors.ts'

test('every failure has a known exit status and says what to do', () => {
  const statuses: readonly number[] = Object.values(exitCodes)
  for (const [code, {exit, help}] of Object.entries(failures)) {
    expect(code).toMatch(/^vmctl::[a-z]+(?:::[a-z_]+)?$/)
    expect(statuses, code).toContain(exit)
    expect(exit, code).not.toBe(0)
    expect(help, code).toMatch(/^\S.*[.?]$/)
  }
})

test('every failure is one that some part of the program reports', () => {
  const sources = resolve(import.meta.dirname, '..')
  const files = readdirSync(sources, {recursive: true, encoding: 'utf8'}).filter(
    (path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && path !== join('model', 'failures.ts'),
  )
  const text = files.map((path) => readFileSync(join(sources, path), 'utf8')).join('\n')
  expect(Object.keys(failures).filter((code) => !text.includes(`'${code}'`))).toEqual([])
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

const thrownBy = (action: () => unknown): unknown => {
  try {
    return action()
  } catch (error) {
    return error
  }
}

test('a failure of the operating system that nobody named is one that the user can act on', () => {
  const cause = thrownBy(() => mkdirSync('/proc/1/no'))
  const error = explained(cause)
  expect(error).toMatchObject({code: 'vmctl::io', message: 'Cannot mkdir /proc/1/no: no such file or directory.', cause})
  expect(exitCodeOf(error)).toBe(exitCodes.host)
  expect(aboutVm(cause, 'web')).toMatchObject({code: 'vmctl::io', details: {vm: 'web'}})
})

test.each([
  ['ENOSPC', "ENOSPC: no space left on device, rename '/a' -> '/b'", 'Cannot rename: no space left on device.', /Free some disk space/],
  ['EMFILE', "EMFILE: too many open files, rename '/a'", 'Cannot rename: too many open files.', /ulimit -n/],
])('%s has an advice of its own', (code, message, told, help) => {
  const error = explained(Object.assign(new Error(message), {code, syscall: 'rename'}))
  expect(error).toMatchObject({message: told, help: expect.stringMatching(help)})
})

test.each([
  ['a defect', new TypeError('x is not a function')],
  ['an error of Node itself', thrownBy(() => rmSync(7 as unknown as string))],
  ['an error with a code', new VmctlError('vmctl::interrupted', 'Interrupted.')],
])('%s stays what it is', (_, error) => {
  expect(explained(error)).toBe(error)
})

test.each([
  ['of one kind: that', ['vmctl::qemu::not_installed', 'vmctl::qemu::not_installed'], 4],
  ['of a kind in different words: that', ['vmctl::network::permission', 'vmctl::io'], 4],
  ['of several kinds: the host before the guest', ['vmctl::provision::failed', 'vmctl::image::no_space'], 4],
  ['a guest before what was asked for', ['vmctl::vm::not_found', 'vmctl::guest::unhealthy', 'vmctl::usage::invalid'], 6],
  ['those that were left alone do not count', ['vmctl::vm::dependency_failed', 'vmctl::ssh::unreachable'], 7],
  ['nobody but those that were left alone', ['vmctl::vm::dependency_failed'], 6],
] as const)('the status of several failures %s', (_title, codes, exit) => {
  const failed = codes.map((code, index) => ({name: `vm${index}`, error: aboutVm(new VmctlError(code, 'so it is'), 'vm')}))
  const error = severalFailed(failed, {of: 9, details: {}})
  expect(exitCodeOf(error)).toBe(exit)
  expect(exitCodeOf(aboutVm(error, 'again'))).toBe(exit)
  expect(error).toMatchObject({
    code: 'vmctl::vms::failed',
    message: `${codes.length} of 9 VMs failed: ${failed.map(({name}) => name).join(', ')}.`,
  })
})

test('a defect among several failures is told as one', () => {
  const failed = [
    {name: 'a', error: new TypeError('x is not a function')},
    {name: 'b', error: new VmctlError('vmctl::io', 'no')},
  ]
  expect(exitCodeOf(severalFailed(failed, {of: 2, details: {}}))).toBe(exitCodes.unexplained)
})

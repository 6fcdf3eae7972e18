import {mkdirSync, rmSync} from 'node:fs'

import {expect, test} from 'vitest'

import {
  about,
  exitCodeOf,
  exitCodes,
  explained,
  factsOf,
  type Failure,
  type FailureCode,
  isVmctlError,
  messageOf,
  severalFailed,
  stackOf,
  systemCode,
  VmctlError,
} from './errors.ts'
import {commonFailures} from './failures.ts'

test('an error of another copy of vmctl is recognised, a stranger is not', async () => {
  const copy = './errors.ts?copy'
  const other = (await import(copy)) as typeof import('./errors.ts')
  const foreign = new other.VmctlError('vmctl::io', 'x')
  expect(foreign).not.toBeInstanceOf(VmctlError)
  expect(isVmctlError(foreign)).toBe(true)
  expect(exitCodeOf(foreign)).toBe(exitCodes.host)
  expect(about(foreign, {vm: 'web'})).toBe(foreign)
  expect(foreign.details).toEqual({vm: 'web'})
  for (const stranger of [new Error('x'), 'vmctl::io', undefined, null, {code: 'vmctl::io'}]) {
    expect(isVmctlError(stranger)).toBe(false)
    expect(exitCodeOf(stranger)).toBe(1)
  }
})

test('the advice of a throw site wins, the cause is kept', () => {
  const cause = Object.assign(new Error('why'), {code: 'ENOENT'})
  const error = new VmctlError('vmctl::io', 'what', {help: 'do this', cause, details: {a: 1}})
  expect(error).toMatchObject({help: 'do this', cause, details: {a: 1}, problems: [], name: 'VmctlError'})
  expect(new VmctlError('vmctl::io', 'what').help).toBe(commonFailures['vmctl::io'].help)
  expect(systemCode(cause)).toBe('ENOENT')
  expect(systemCode({code: 'ENOENT'})).toBeUndefined()
  expect(messageOf('text')).toBe('text')
})

test('an error learns on its way up what it is about, and stays the one that it was', () => {
  const cause = new Error('why')
  const error = new VmctlError('vmctl::ssh::unreachable', 'It is silent.', {cause, details: {stage: 'kernel'}})
  const {stack} = error
  expect(error.help).toContain('`vmctl log NAME --console`')
  expect(about(error, {vm: 'web', step: 2})).toBe(error)
  expect(about(error, {vm: 'db', step: 3})).toBe(error)
  expect(error.reword({message: `web: ${error.message}`})).toBe(error)
  expect(error).toMatchObject({message: 'web: It is silent.', details: {vm: 'web', step: 2, stage: 'kernel'}, cause})
  expect(error.help).toContain('`vmctl log web --console`')
  expect(error.stack).toBe(stack)
  expect(stackOf(error)).toBe(`${stack}\nbecause: ${cause.stack}`)
})

test('advice names the VM only where it speaks of it', () => {
  const error = new VmctlError('vmctl::network::bridge_not_found', 'There is no br0.').about({vm: 'web'})
  expect(error.help).toContain('ip link add NAME type bridge')
  expect(new VmctlError('vmctl::io', 'x', {help: (vm) => `look at ${vm}`}).about({vm: 'web'}).help).toBe('look at web')
})

test('a plugin without types gets no other status than one of a failure, and its message is kept', () => {
  const unknown = new VmctlError('note::disk::full' as FailureCode, 'The disk is full.', {cause: 'why'})
  expect(unknown).toMatchObject({code: 'note::disk::full', message: 'The disk is full.', help: expect.stringContaining('plugin')})
  expect(exitCodeOf(unknown)).toBe(exitCodes.unexplained)
  for (const exit of [0, 9, undefined])
    expect(exitCodeOf(new VmctlError({code: 'note::disk::full', exit, help: 'x'} as unknown as Failure, 'x'))).toBe(exitCodes.unexplained)
})

test('no VM is at fault when the user interrupts', () => {
  const error = new VmctlError('vmctl::interrupted', 'Interrupted.')
  expect(about(error, {vm: 'web'})).toBe(error)
  expect(error.details).toEqual({})
})

test('what vmctl decides by stands in the details too', () => {
  const error = new VmctlError('vmctl::provision::failed', 'no', {exitCode: 3, retry: 'never', details: {step: 1}})
  expect(factsOf(error)).toEqual({exitCode: 3, retry: 'never'})
  expect(error.details).toEqual({exitCode: 3, retry: 'never', step: 1})
  expect(factsOf(new Error('x'))).toEqual({})
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
  expect(about(cause, {vm: 'web'})).toMatchObject({code: 'vmctl::io', details: {vm: 'web'}})
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
  ['of one kind: that', ['vmctl::host::not_installed', 'vmctl::host::not_installed'], 4],
  ['of a kind in different words: that', ['vmctl::network::permission', 'vmctl::io'], 4],
  ['of several kinds: the host before the guest', ['vmctl::provision::failed', 'vmctl::image::no_space'], 4],
  ['a guest before what was asked for', ['vmctl::vm::not_found', 'vmctl::guest::unhealthy', 'vmctl::usage::invalid'], 6],
  ['those that were left alone do not count', ['vmctl::vm::dependency_failed', 'vmctl::ssh::unreachable'], 7],
  ['nobody but those that were left alone', ['vmctl::vm::dependency_failed'], 6],
] as const)('the status of several failures %s', (_title, codes, exit) => {
  const failed = codes.map((code, index) => ({name: `vm${index}`, error: about(new VmctlError(code, 'so it is'), {vm: 'vm'})}))
  const error = severalFailed(failed, {of: 9, details: {}})
  expect(exitCodeOf(error)).toBe(exit)
  expect(exitCodeOf(about(error, {vm: 'again'}))).toBe(exit)
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

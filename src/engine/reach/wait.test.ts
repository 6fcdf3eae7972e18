import {expect, test} from 'vitest'

import {makeSpec, makeVm} from '../../../test/support/builders.ts'
import {trustOf} from './trust.ts'
import {type asGuest, openSession} from './session.ts'
import {hostKeyAlias, sshUser} from './identity.ts'

type Connection = ReturnType<typeof asGuest>

/** A connection that can be lost. */
const fakeConnection = () => {
  const closed = Promise.withResolvers<never>()
  closed.promise.catch(() => undefined)
  let closes = 0
  const connection: Connection = {
    exec: async () => ({code: 0, signal: null}),
    upload: async () => undefined,
    closed: closed.promise,
    close: () => {
      closes++
    },
  }
  return {connection, lose: () => closed.reject(new Error('lost')), closes: () => closes}
}

test('a session connects when it is needed, once, and again when the connection was lost', async () => {
  const made: ReturnType<typeof fakeConnection>[] = []
  {
    using session = openSession(async () => {
      const one = fakeConnection()
      made.push(one)
      return one.connection
    })
    expect(made).toHaveLength(0)
    const [left, right] = await Promise.all([session.guest(), session.guest()])
    expect(left).toBe(right)
    expect(made).toHaveLength(1)
    made[0]?.lose()
    await new Promise((resolve) => setImmediate(resolve))
    expect(await session.guest()).toBe(made[1]?.connection)
    expect(await session.guest()).toBe(made[1]?.connection)
  }
  await new Promise((resolve) => setImmediate(resolve))
  expect(made.map((one) => one.closes())).toEqual([0, 1])
})

test('an attempt that failed is not remembered', async () => {
  let attempts = 0
  using session = openSession(async () => {
    attempts++
    if (attempts === 1) throw new Error('no route')
    return fakeConnection().connection
  })
  await expect(session.guest()).rejects.toThrow('no route')
  await session.guest()
  expect(attempts).toBe(2)
})

test('a session that never connected has nothing to close', () => {
  let asked = 0
  const session = openSession(() => {
    asked++
    return Promise.reject(new Error('no route'))
  })
  expect(() => session[Symbol.dispose]()).not.toThrow()
  expect(asked).toBe(0)
})

test('who logs in: asked for, ssh, cloud-init, vm', () => {
  const cloudInit = {hostname: 'web', sshKeys: [], user: 'cloud'}
  const vm = makeVm({spec: makeSpec({ssh: {user: 'declared'}, cloudInit})})
  expect(sshUser(vm, 'asked')).toBe('asked')
  expect(sshUser(vm)).toBe('declared')
  expect(sshUser(vm, undefined, {user: 'newer'})).toBe('newer')
  expect(sshUser(makeVm({spec: makeSpec({ssh: {}, cloudInit})}))).toBe('cloud')
  expect(sshUser(makeVm({spec: makeSpec({image: {kind: 'url', source: 'https://x', user: 'debian'}})}))).toBe('debian')
  expect(sshUser(makeVm())).toBe('vm')
  expect(hostKeyAlias(vm)).toBe(`vmctl-${vm.id}`)
})

test.each([
  ['a key that is known is the only one', {}, {pinned: 'key', onFirstUse: 'refuse'}],
  ['without one the first is kept', {pinned: undefined}, {onFirstUse: 'keep'}],
  ['user-data may bring another, until the guest was reached', {hasUserData: true, ready: false}, {pinned: 'key', onFirstUse: 'keep'}],
  ['and no longer', {hasUserData: true}, {pinned: 'key', onFirstUse: 'refuse'}],
  ['accept-new takes another at the first boot', {check: 'accept-new', ready: false}, {pinned: 'key', onFirstUse: 'keep'}],
  ['and keeps it', {check: 'accept-new'}, {pinned: 'key', onFirstUse: 'refuse'}],
  ['off takes any', {check: 'off'}, {onFirstUse: 'accept'}],
] as const)('host keys: %s', (_title, change, expected) => {
  expect(trustOf({check: undefined, pinned: 'key', ready: true, hasUserData: false, ...change})).toEqual(expected)
})

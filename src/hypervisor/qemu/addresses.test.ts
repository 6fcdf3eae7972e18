import {expect, test} from 'vitest'

import {chooseMacAddress, chooseSshPort, preferredPorts} from './addresses.ts'

const free = async (): Promise<boolean> => true

test("the book's range, each port once, beginning where the name says", () => {
  const ports = preferredPorts('web')
  expect(ports.toSorted((left, right) => left - right)).toEqual(Array.from({length: 101}, (_, index) => 10_022 + index))
  expect(preferredPorts('web')).toEqual(ports)
  expect(new Set(Array.from({length: 50}, (_, index) => preferredPorts(`vm-${index}`)[0])).size).toBeGreaterThan(10)
})

test('the last port is kept when it is free, wherever it lies', async () => {
  expect(await chooseSshPort('web', 20_000, {taken: new Set(), isFree: free})).toBe(20_000)
  const [first, second] = preferredPorts('web')
  expect(await chooseSshPort('web', 20_000, {taken: new Set([20_000]), isFree: free})).toBe(first)
  expect(await chooseSshPort('web', undefined, {taken: new Set([first ?? 0]), isFree: free})).toBe(second)
  expect(await chooseSshPort('web', undefined, {taken: new Set(), isFree: async (port) => port !== first})).toBe(second)
})

test('when the range is full, any other port will do, but none that another VM has', async () => {
  const taken = new Set(preferredPorts('web'))
  const port = await chooseSshPort('web', undefined, {taken, isFree: free})
  expect(taken.has(port)).toBe(false)
  expect(port).toBeGreaterThan(1023)
  const other = await chooseSshPort('web', undefined, {taken: new Set(), isFree: async () => false})
  expect(preferredPorts('web')).not.toContain(other)
})

test('MAC addresses are unicast, local, random and unlike the ones of others', () => {
  const addresses = Array.from({length: 200}, () => chooseMacAddress(new Set()))
  for (const address of addresses) expect(address).toMatch(/^52:54:00(:[0-9a-f]{2}){3}$/)
  expect(new Set(addresses).size).toBe(200)
  let asked = 0
  const refusing = {
    has: () => asked++ < 5,
  } as unknown as ReadonlySet<string>
  chooseMacAddress(refusing)
  expect(asked).toBe(6)
})

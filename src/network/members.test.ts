import fc from 'fast-check'
import {expect, test} from 'vitest'

import {type Candidate, seatMembers} from './members.ts'

const subnet = {network: 'default', subnet: '10.10.0.0/24', gateway: '10.10.0.1'}
const vm = (name: string, change: Partial<Candidate> = {}): Candidate => ({vm: name, hostname: name, service: name, ...change})
const none = (): boolean => false
const addresses = (members: ReturnType<typeof seatMembers>): (string | undefined)[] => Object.values(members).map(({ip}) => ip)

test('addresses come in order from .2, with a MAC address made of them', () => {
  const members = seatMembers({...subnet, members: {}}, [vm('db'), vm('web-0', {service: 'web', replica: 0})], none)
  expect(members).toEqual({
    db: {ip: '10.10.0.2', mac: '56:4d:0a:0a:00:02', isFixed: false, hostname: 'db', service: 'db'},
    'web-0': {ip: '10.10.0.3', mac: '56:4d:0a:0a:00:03', isFixed: false, hostname: 'web-0', service: 'web', replica: 0},
  })
})

test('whoever has an address keeps it, whoever else comes and in whatever order', () => {
  const first = seatMembers({...subnet, members: {}}, [vm('b'), vm('c')], none)
  const second = seatMembers({...subnet, members: first}, [vm('a'), vm('c'), vm('b')], none)
  expect([second.b?.ip, second.c?.ip, second.a?.ip]).toEqual(['10.10.0.2', '10.10.0.3', '10.10.0.4'])
  expect(seatMembers({...subnet, members: second}, [vm('b')], none)).toEqual(second)
  expect(JSON.stringify(seatMembers({...subnet, members: second}, [vm('b')], none))).toBe(JSON.stringify(second))
})

test('with another subnet come other addresses, and the MAC addresses stay', () => {
  const before = seatMembers({...subnet, members: {}}, [vm('a'), vm('b')], none)
  const after = seatMembers(
    {network: 'default', subnet: '10.20.0.0/24', gateway: '10.20.0.1', members: before},
    [vm('a'), vm('b'), vm('c')],
    none,
  )
  expect(addresses(after)).toEqual(['10.20.0.2', '10.20.0.3', '10.20.0.4'])
  expect([after.a?.mac, after.b?.mac]).toEqual([before.a?.mac, before.b?.mac])
})

test('an address that is asked for is given first; one that is taken, or none of the subnet, is refused', () => {
  const members = seatMembers({...subnet, members: {}}, [vm('a'), vm('b', {ip: '10.10.0.2', mac: '52:54:00:AA:bb:cc'})], none)
  expect(members).toMatchObject({a: {ip: '10.10.0.3'}, b: {ip: '10.10.0.2', mac: '52:54:00:aa:bb:cc', isFixed: true}})
  const late = (change: Partial<Candidate>) => seatMembers({...subnet, members}, [vm('c', change)], none)
  expect(() => late({ip: '10.10.0.3'})).toThrow('a has it')
  expect(() => late({mac: '52:54:00:aa:BB:CC'})).toThrow('used twice')
  for (const ip of ['10.10.0.0', '10.10.0.1', '10.10.0.255', '10.11.0.2', 'x'])
    expect(() => late({ip}), ip).toThrow('cannot have the address')
  expect(seatMembers({...subnet, members}, [vm('c', {ip: '10.10.0.3'})], (name) => name === 'a')).not.toHaveProperty('a')
})

test('when all addresses are given, those of VMs that are gone are given again; then it is an error', () => {
  const small = {network: 'small', subnet: '10.10.0.0/29', gateway: '10.10.0.1'}
  const full = seatMembers(
    {...small, members: {}},
    ['a', 'b', 'c', 'd', 'e'].map((name) => vm(name)),
    none,
  )
  expect(addresses(full)).toEqual(['10.10.0.2', '10.10.0.3', '10.10.0.4', '10.10.0.5', '10.10.0.6'])
  expect(() => seatMembers({...small, members: full}, [vm('f')], none)).toThrow('no free address for f')
  const next = seatMembers({...small, members: full}, [vm('f')], (name) => name === 'c')
  expect([next.f?.ip, next.c]).toEqual(['10.10.0.4', undefined])
})

test("on a network whose addresses are somebody else's, members have MAC addresses only", () => {
  const members = seatMembers({network: 'office', members: {}}, [vm('a'), vm('b')], none)
  expect(addresses(members)).toEqual([undefined, undefined])
  expect(members.a?.mac).toMatch(/^56:4d(?::[0-9a-f]{2}){4}$/)
  expect(seatMembers({network: 'office', members}, [vm('a')], none)).toEqual(members)
})

test('whatever comes and goes, no address and no MAC address is given twice', () => {
  const batch = fc.array(fc.record({name: fc.integer({min: 0, max: 30}), fixed: fc.option(fc.integer({min: 2, max: 40}))}), {maxLength: 12})
  fc.assert(
    fc.property(fc.array(batch, {maxLength: 5}), (batches) => {
      let members: ReturnType<typeof seatMembers> = {}
      for (const wanted of batches) {
        const candidates = [
          ...new Map(wanted.map(({name, fixed}) => [name, vm(`v${name}`, fixed === null ? {} : {ip: `10.10.0.${fixed}`})])).values(),
        ]
        try {
          members = seatMembers({...subnet, members}, candidates, () => false)
        } catch {
          continue
        }
        const seated = Object.values(members)
        expect(new Set(seated.map(({ip}) => ip)).size).toBe(seated.length)
        expect(new Set(seated.map(({mac}) => mac)).size).toBe(seated.length)
      }
    }),
  )
})

import fc from 'fast-check'
import {expect, test} from 'vitest'

import {contains, formatAddress, formatSubnet, overlaps, parseAddress, parseSubnet, subnetsWithin} from './ipv4.ts'

test('what is formatted is parsed back', () => {
  fc.assert(
    fc.property(fc.nat(0xff_ff_ff_ff), (address) => {
      expect(parseAddress(formatAddress(address))).toBe(address)
    }),
  )
})

test.each(['', '10.0.0', '10.0.0.256', '10.0.0.01', '10.0.0.1.2', ' 10.0.0.1', '0x0a.0.0.1'])('%j is no address', (text) => {
  expect(parseAddress(text)).toBeUndefined()
})

test('a subnet is what its prefix says, whichever of its addresses names it', () => {
  expect(formatSubnet(parseSubnet('10.10.3.77/24') ?? fail())).toBe('10.10.3.0/24')
  expect(parseSubnet('0.0.0.0/0')).toEqual({first: 0, last: 0xff_ff_ff_ff, prefix: 0})
  expect(parseSubnet('10.0.0.1/32')).toMatchObject({first: 0x0a_00_00_01, last: 0x0a_00_00_01})
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0/24', '10.0.0.0/024']) expect(parseSubnet(text), text).toBeUndefined()
})

test('subnets overlap when one holds the other', () => {
  const [small, large, other] = ['10.10.3.0/24', '10.10.0.0/16', '10.11.0.0/16'].map((text) => parseSubnet(text) ?? fail())
  expect(overlaps(small ?? fail(), large ?? fail())).toBe(true)
  expect(overlaps(large ?? fail(), small ?? fail())).toBe(true)
  expect(overlaps(small ?? fail(), other ?? fail())).toBe(false)
  expect(contains(small ?? fail(), parseAddress('10.10.3.255') ?? 0)).toBe(true)
  expect(contains(small ?? fail(), parseAddress('10.10.4.0') ?? 0)).toBe(false)
})

test('a pool is cut in order', () => {
  const all = [...subnetsWithin(parseSubnet('172.16.0.0/12') ?? fail(), 24)].map(formatSubnet)
  expect([all.length, all[0], all[1], all.at(-1)]).toEqual([4096, '172.16.0.0/24', '172.16.1.0/24', '172.31.255.0/24'])
})

const fail = (): never => {
  throw new Error('not parsed')
}

import {expect, test} from 'vitest'

import {parseSubnet} from '../model/ipv4.ts'
import type {NetworkSpec} from '../model/network.ts'
import {chooseSubnet, type Neighbours} from './subnets.ts'

const spec = (change: Partial<NetworkSpec> = {}): NetworkSpec => ({
  id: 'shop.default',
  name: 'default',
  driver: 'mesh',
  dhcp: false,
  dns: false,
  nat: false,
  ...change,
})
const alone: Neighbours = {networks: [], remembered: {}, host: []}
const route = (text: string, name = 'eth0') => ({interface: name, subnet: parseSubnet(text) ?? {first: 0, last: 0, prefix: 32}})

test('the first mesh gets 10.10.0.0/24, the first bridge a /24 of 172.16.0.0/12', () => {
  expect(chooseSubnet(spec(), alone)).toBe('10.10.0.0/24')
  expect(chooseSubnet(spec({driver: 'bridge'}), alone)).toBe('172.16.0.0/24')
  expect(chooseSubnet(spec({driver: 'external', bridgeName: 'br0'}), alone)).toBeUndefined()
})

test('a chosen one clashes with no other network, no remembered one and no route of the host', () => {
  const neighbours: Neighbours = {
    networks: [{id: 'a.default', driver: 'mesh', subnet: '10.10.0.0/24'}],
    remembered: {'gone.default': '10.10.1.0/24'},
    host: [route('10.10.2.0/23')],
  }
  expect(chooseSubnet(spec(), neighbours)).toBe('10.10.4.0/24')
})

test('a network that comes again gets its subnet back, unless somebody else has it now', () => {
  const remembered = {'shop.default': '10.10.7.0/24'}
  expect(chooseSubnet(spec(), {...alone, remembered})).toBe('10.10.7.0/24')
  expect(chooseSubnet(spec(), {...alone, remembered, host: [route('10.10.7.128/25')]})).toBe('10.10.0.0/24')
  expect(chooseSubnet(spec({driver: 'bridge'}), {...alone, remembered})).toBe('172.16.0.0/24')
})

test('a remembered subnet of a network that is gone is taken before there is none', () => {
  const remembered = Object.fromEntries(Array.from({length: 256}, (_, index) => [`n${index}`, `10.10.${index}.0/24`]))
  expect(chooseSubnet(spec(), {...alone, remembered})).toBe('10.10.0.0/24')
  expect(() => chooseSubnet(spec(), {...alone, host: [route('10.0.0.0/8')]})).toThrow(/No \/24 of 10\.10\.0\.0\/16 is free/)
})

test('one that was asked for is taken as it is, or refused with whose it is', () => {
  expect(chooseSubnet(spec({subnet: '10.20.0.5/24'}), {...alone, host: [route('10.20.0.0/24')]})).toBe('10.20.0.0/24')
  const bridge = spec({driver: 'bridge', subnet: '192.168.100.0/24'})
  expect(chooseSubnet(bridge, alone)).toBe('192.168.100.0/24')
  expect(() => chooseSubnet(bridge, {...alone, host: [route('192.168.0.0/16', 'wlan0')]})).toThrow('192.168.0.0/16 on wlan0 of the host')
  const other = {id: 'b.front', driver: 'bridge', subnet: '192.168.100.128/25'} as const
  expect(() => chooseSubnet(bridge, {...alone, networks: [other]})).toThrow('b.front (192.168.100.128/25)')
  expect(() => chooseSubnet(spec({subnet: '10.0.0.0/16'}), alone)).toThrow('by which vmctl reaches every VM')
})

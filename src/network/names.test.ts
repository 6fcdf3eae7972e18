import {expect, test} from 'vitest'

import {dnsEntries, hostEntries} from './names.ts'
import type {Member, NetworkRecord} from './record.ts'

const member = (ip: string | undefined, service: string, change: Partial<Member> = {}): Member => ({
  ...(ip !== undefined && {ip}),
  mac: `56:4d:${ip}`,
  isFixed: false,
  hostname: change.replica === undefined ? service : `${service}-${change.replica}`,
  service,
  ...change,
})
const network = (members: readonly Member[], name = 'default'): NetworkRecord => ({
  schema: 1,
  spec: {id: `shop.${name}`, name, driver: 'mesh', dhcp: false, dns: false, nat: false},
  members: Object.fromEntries(members.map((one, index) => [`vm${index}`, one])),
})

test('a VM answers to its host name and its name, a service to its first replica', () => {
  const members = [
    member('10.0.0.4', 'web', {replica: 1}),
    member('10.0.0.2', 'db', {hostname: 'postgres'}),
    member('10.0.0.3', 'web', {replica: 0}),
  ]
  expect(hostEntries([network(members)])).toEqual([
    {ip: '10.0.0.4', names: ['web-1']},
    {ip: '10.0.0.2', names: ['postgres', 'db', 'db-0']},
    {ip: '10.0.0.3', names: ['web-0', 'web']},
  ])
})

test("a name of a VM's own is never given to another", () => {
  const members = [member('10.0.0.2', 'web'), member('10.0.0.3', 'web-0')]
  expect(hostEntries([network(members)])).toEqual([
    {ip: '10.0.0.2', names: ['web']},
    {ip: '10.0.0.3', names: ['web-0', 'web-0-0']},
  ])
})

test('a name stands for one address: that on the network which is named first', () => {
  const front = network([member('10.0.0.2', 'web'), member('10.0.0.3', 'db')], 'front')
  const back = network([member('10.1.0.2', 'db'), member('10.1.0.3', 'cache'), member(undefined, 'nas')], 'back')
  expect(hostEntries([front, back]).map(({ip, names}) => `${names[0]} ${ip}`)).toEqual(['web 10.0.0.2', 'db 10.0.0.3', 'cache 10.1.0.3'])
  expect(hostEntries([back, front]).map(({ip, names}) => `${names[0]} ${ip}`)).toEqual(['db 10.1.0.2', 'cache 10.1.0.3', 'web 10.0.0.2'])
})

test('DNS gives all addresses of a service', () => {
  const members = [member('10.0.0.3', 'web', {replica: 0}), member('10.0.0.4', 'web', {replica: 1})]
  expect(
    dnsEntries(network(members))
      .filter(({names}) => names.includes('web'))
      .map(({ip}) => ip),
  ).toEqual(['10.0.0.3', '10.0.0.4'])
})

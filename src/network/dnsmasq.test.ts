import {spawnSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {missingProgram, testUnless} from '../../test/support/programs.ts'
import {dnsmasqConfig} from './dnsmasq.ts'
import type {NetworkRecord} from './record.ts'

const record = (change: Partial<NetworkRecord['spec']> = {}): NetworkRecord => ({
  schema: 1,
  spec: {id: 'shop.front', name: 'Front_1', driver: 'bridge', dhcp: true, dns: true, nat: true, ...change},
  subnet: '172.16.0.0/24',
  gateway: '172.16.0.1',
  bridge: 'vmbr-0123456789',
  members: {
    'shop.web-0': {ip: '172.16.0.2', mac: '56:4d:ac:10:00:02', isFixed: false, hostname: 'web-0', service: 'web', replica: 0},
    'shop.web-1': {ip: '172.16.0.3', mac: '56:4d:ac:10:00:03', isFixed: false, hostname: 'web-1\nuser=root', service: 'web', replica: 1},
  },
})
const lines = (change?: Partial<NetworkRecord['spec']>): string[] =>
  (dnsmasqConfig('/state/networks/shop.front', record(change)) ?? '').split('\n')

test('DHCP gives the addresses on record, from .2 on; DNS all addresses of a service, and asks upstream for the rest', () => {
  const all = lines()
  expect(all).toEqual(
    expect.arrayContaining([
      'interface=vmbr-0123456789',
      'bind-interfaces',
      'except-interface=lo',
      'dhcp-range=172.16.0.2,172.16.0.254,255.255.255.0,12h',
      'dhcp-host=56:4d:ac:10:00:02,172.16.0.2,web-0,infinite',
      'dhcp-option=option:router,172.16.0.1',
      'dhcp-option=option:dns-server,172.16.0.1',
      'host-record=web,web.front-1.internal,172.16.0.2',
      'host-record=web,web.front-1.internal,172.16.0.3',
      'host-record=web-1,web-1.front-1.internal,172.16.0.3',
    ]),
  )
  expect(all.some((line) => /^(?:port|no-resolv|user)/.test(line))).toBe(false)
})

test('what is off is off: no DNS, no DHCP, no way out, no dnsmasq', () => {
  expect(lines({dns: false})).toEqual(expect.arrayContaining(['port=0', 'dhcp-option=option:dns-server']))
  expect(lines({dhcp: false}).some((line) => line.startsWith('dhcp-'))).toBe(false)
  expect(lines({nat: false})).toContain('dhcp-option=option:router')
  expect(dnsmasqConfig('/state', record({dhcp: false, dns: false}))).toBeUndefined()
})

testUnless(missingProgram('dnsmasq'))('dnsmasq takes it', () => {
  const path = join(temporaryDirectory(), 'dnsmasq.conf')
  for (const change of [{}, {dns: false}, {dhcp: false}, {nat: false, mtu: 1400}]) {
    writeFileSync(path, dnsmasqConfig('/state', record(change)) ?? '')
    const {status, stderr} = spawnSync('dnsmasq', ['--test', `--conf-file=${path}`], {encoding: 'utf8'})
    expect([status, stderr.trim()]).toEqual([0, 'dnsmasq: syntax check OK.'])
  }
})

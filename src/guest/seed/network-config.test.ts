import {expect, test} from 'vitest'
import {parse} from 'yaml'

import type {Nic} from '../../model/vm.ts'
import {networkConfig} from './network-config.ts'

const nic = (change: Partial<Nic>): Nic => ({
  network: 'shop.default',
  mac: '56:4d:0a:0a:00:02',
  dhcp: false,
  link: {kind: 'socket', name: 'mesh.sock'},
  ...change,
})

test('the management interface asks DHCP; a mesh has its address and no way out, and holds up no boot', () => {
  const mesh = nic({ip: '10.10.0.2', prefix: 24, mtu: 1400})
  expect(parse(networkConfig({management: '52:54:00:12:34:56', nics: [mesh]}))).toEqual({
    version: 2,
    ethernets: {
      eth0: {match: {macaddress: '52:54:00:12:34:56'}, 'set-name': 'eth0', dhcp4: true, 'dhcp4-overrides': {'route-metric': 200}},
      eth1: {
        match: {macaddress: '56:4d:0a:0a:00:02'},
        'set-name': 'eth1',
        dhcp4: false,
        addresses: ['10.10.0.2/24'],
        mtu: 1400,
        optional: true,
      },
    },
  })
})

test('a bridge with DHCP is asked, and its way out is taken first; one without gives a gateway', () => {
  const nics = [nic({dhcp: true, ip: '172.16.0.2', prefix: 24}), nic({ip: '172.16.1.2', prefix: 24, gateway: '172.16.1.1'})]
  expect(parse(networkConfig({nics})).ethernets).toMatchObject({
    eth0: {dhcp4: true, 'dhcp4-overrides': {'route-metric': 100}},
    eth1: {routes: [{to: '0.0.0.0/0', via: '172.16.1.1', metric: 100}], nameservers: {addresses: ['172.16.1.1']}},
  })
  expect(parse(networkConfig({nics})).ethernets.eth0).not.toHaveProperty('addresses')
})

test('a guest with netplan goes by the addresses and renames nothing', () => {
  const {ethernets} = parse(networkConfig({management: '52:54:00:12:34:56', nics: [nic({ip: '10.10.0.2'})], byNetplan: true}))
  expect(ethernets).toMatchObject({
    vmctl0: {match: {macaddress: '52:54:00:12:34:56'}, dhcp4: true},
    vmctl1: {match: {macaddress: '56:4d:0a:0a:00:02'}, addresses: ['10.10.0.2/24']},
  })
  expect(JSON.stringify(ethernets)).not.toContain('set-name')
})

test('a MAC address that YAML 1.1 would take for a number stays text', () => {
  expect(networkConfig({management: '52:54:00:12:34:56', nics: []})).toContain("'52:54:00:12:34:56'")
})

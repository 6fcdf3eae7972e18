import {join} from 'node:path'

import {expect, test} from 'vitest'

import {makeSpec, makeVm, temporaryDirectory} from '../../../test/support/builders.ts'
import {noopHypervisor} from '../../hypervisor/noop/index.ts'
import type {NetworkSpec} from '../../model/network.ts'
import type {Vm, VmSpec} from '../../model/vm.ts'
import {openEngine} from '../engine.ts'
import {interfacesOf} from './interfaces.ts'

const leased: Readonly<Record<string, string>> = {'br0 52:54:00:00:00:01': '192.0.2.7', 'br1 52:54:00:00:00:02': '198.51.100.9'}

const look = async (spec: Partial<VmSpec>, nics: NonNullable<Vm['attachments']>['nics'] = [], state: 'running' | 'stopped' = 'running') => {
  const bridged = {
    ...noopHypervisor(),
    name: 'bridged',
    findAddress: async ({bridge, macAddress}: {bridge: string; macAddress: string}) => leased[`${bridge} ${macAddress}`],
  }
  const engine = await openEngine({stateDirectory: join(temporaryDirectory(), 'state'), extensions: [{hypervisors: [bridged]}]})
  const vm = makeVm({backend: 'bridged', spec: makeSpec(spec), attachments: {nics, disks: [], folders: []}})
  return interfacesOf(engine, vm, {state, macAddress: '52:54:00:00:00:01'})
}

const network = (driver: NetworkSpec['driver']): NetworkSpec => ({id: 'shop.lan', name: 'lan', driver, dhcp: false, dns: false, nat: false})
const tap: Partial<VmSpec> = {network: {type: 'tap', bridge: 'br0'}}

test('user, none and vnic', async () => {
  const mac = '52:54:00:00:00:01'
  expect(await look({})).toEqual([{kind: 'user', mac}])
  expect(await look({network: {type: 'none'}})).toEqual([{kind: 'none'}])
  expect(await look({network: {type: 'vnic', name: 'v0'}})).toEqual([{kind: 'vnic', link: 'v0', mac}])
})

test('an address on a bridge is the one of the VMFile, else what the host knows while the VM runs', async () => {
  const on = {kind: 'tap', link: 'br0', mac: '52:54:00:00:00:01'}
  expect(await look(tap)).toEqual([{...on, ip: '192.0.2.7'}])
  expect(await look(tap, [], 'stopped')).toEqual([on])
  expect(await look({network: {type: 'tap', bridge: 'br9'}})).toEqual([{...on, link: 'br9'}])
  expect(await look({network: {type: 'tap', bridge: 'br0', ip: '192.0.2.1'}})).toEqual([{...on, ip: '192.0.2.1'}])
})

test('declared networks come first; the address on an existing bridge is found, that on a mesh is known', async () => {
  const mac = '52:54:00:00:00:02'
  const mesh = {network: 'shop.lan', mac, ip: '10.10.0.2', dhcp: false, link: {kind: 'socket', name: 's'}} as const
  const external = {network: 'shop.lan', mac, dhcp: true, link: {kind: 'bridge', bridge: 'br1'}} as const
  const user = {kind: 'user', mac: '52:54:00:00:00:01'}
  expect(await look({networks: [{network: network('mesh')}]}, [mesh])).toEqual([
    {network: 'shop.lan', kind: 'mesh', mac, ip: '10.10.0.2'},
    user,
  ])
  expect(await look({networks: [{network: network('external')}]}, [external])).toEqual([
    {network: 'shop.lan', kind: 'external', link: 'br1', mac, ip: '198.51.100.9'},
    user,
  ])
})

import {expect, test} from 'vitest'

import {makeSpec, makeVm} from '../../../test/support/builders.ts'
import type {Attachments, Nic} from '../../model/vm.ts'
import {networkArguments, nicSockets} from './network.ts'
import {tapName, tapsOf} from './tap.ts'

const mesh: Nic = {network: 'shop.default', mac: '56:4d:0a:0a:00:02', dhcp: false, link: {kind: 'socket', name: 'mesh-0.sock'}}
const bridge: Nic = {network: 'shop.front', mac: '56:4d:ac:10:00:02', dhcp: true, mtu: 1400, link: {kind: 'bridge', bridge: 'vmbr-0'}}
const attachments: Attachments = {nics: [mesh, bridge], disks: [], folders: []}
const vm = makeVm({spec: makeSpec(), attachments})

test('the management interface comes first, then the networks in order; QEMU listens on a mesh', () => {
  expect(networkArguments(vm, {macAddress: '52:54:00:12:34:56', sshPort: 10_022})).toEqual([
    '-netdev',
    'user,id=net0,hostfwd=tcp:127.0.0.1:10022-:22',
    '-device',
    'virtio-net-pci,netdev=net0,mac=52:54:00:12:34:56',
    '-netdev',
    'stream,id=net1,server=on,addr.type=unix,addr.path=mesh-0.sock',
    '-device',
    'virtio-net-pci,netdev=net1,mac=56:4d:0a:0a:00:02,romfile=',
    '-netdev',
    `tap,id=net2,ifname=${tapName(vm, 'shop.front')},script=no,downscript=no`,
    '-device',
    'virtio-net-pci,netdev=net2,mac=56:4d:ac:10:00:02,romfile=,host_mtu=1400',
  ])
})

test('each interface on a bridge has a TAP device of its own, whose name the kernel takes', () => {
  const taps = tapsOf(makeVm({spec: makeSpec({network: {type: 'tap', bridge: 'br0'}}), attachments}))
  expect(taps.map(({bridge: name, mtu}) => [name, mtu])).toEqual([
    ['br0', undefined],
    ['vmbr-0', 1400],
  ])
  expect(new Set(taps.map(({name}) => name)).size).toBe(2)
  for (const {name} of taps) expect(name).toMatch(/^vmctl[0-9a-f]{10}$/)
})

test('the sockets that a killed QEMU leaves are known', () => {
  expect(nicSockets(vm)).toEqual(['/state/vms/web/mesh-0.sock'])
})

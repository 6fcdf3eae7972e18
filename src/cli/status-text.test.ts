import {expect, test} from 'vitest'

import type {VmStatus} from '../engine/show/inspect.ts'
import {describeStatus} from './status-text.ts'

const lines = (change: Partial<VmStatus>): readonly string[] =>
  describeStatus({
    name: 'web',
    id: 'ID',
    backend: 'qemu',
    state: 'running',
    network: 'user',
    interfaces: [],
    volumes: [],
    shares: [],
    diskBytes: 2 ** 30,
    workDirectory: '/d',
    overlay: '/d/overlay.qcow2',
    image: '/image',
    createdAt: '2026-01-02T03:04:05.000Z',
    provision: [],
    ...change,
  })
    .split('\n')
    .filter((line) => /^(?:Network|Volume|Share|Port):/.test(line))
    .map((line) => line.replace(/: +/, ': '))

const mac = '52:54:00:00:00:01'

test.each<[string, VmStatus['interfaces'], readonly string[]]>([
  ['user', [{kind: 'user', mac}], ['Network: user (SLIRP)']],
  ['none', [{kind: 'none'}], ['Network: none']],
  ['a bridge', [{kind: 'tap', link: 'br0', mac, ip: '192.0.2.7'}], ['Network: tap (bridge: br0), 192.0.2.7']],
  ['a VNIC', [{kind: 'vnic', link: 'v0', mac}], ['Network: vnic (v0)']],
  [
    'a mesh and a bridge',
    [
      {network: 'shop.default', kind: 'mesh', mac, ip: '10.10.0.2'},
      {network: 'shop.lan', kind: 'external', link: 'br1', mac},
      {kind: 'user', mac},
    ],
    [
      `Network: shop.default (mesh), 10.10.0.2, ${mac}`,
      `Network: shop.lan (external, bridge br1), ${mac}`,
      'Network: user (SLIRP), for vmctl',
    ],
  ],
])('status says what networks a VM is on: %s', (_title, interfaces, expected) => {
  expect(lines({interfaces})).toEqual(expected)
})

test('status says which volumes, shares and ports a VM has', () => {
  const device = '/dev/disk/by-id/virtio-x'
  expect(
    lines({
      volumes: [
        {volume: 'shop.pgdata', target: '/data', readOnly: true, device},
        {volume: 'shop.raw', readOnly: false, device},
      ],
      shares: [{source: '/src', target: '/app', readOnly: true}],
      ports: [{protocol: 'tcp', bind: '127.0.0.1', host: 8080, guest: 80}],
    }),
  ).toEqual([
    'Volume: shop.pgdata → /data (read-only)',
    `Volume: shop.raw → ${device}`,
    'Share: /src → /app (read-only)',
    'Port: 127.0.0.1:8080 → 80/tcp',
  ])
})

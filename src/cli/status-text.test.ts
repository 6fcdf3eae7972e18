import {expect, test} from 'vitest'

import type {VmStatus} from '../engine/show/inspect.ts'
import {stripControls} from '../model/strip.ts'
import {displayWidth} from '../model/display-width.ts'
import {describeStatus} from './status-text.ts'

const vm = (change: Partial<VmStatus>): VmStatus => ({
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

const lines = (change: Partial<VmStatus>): readonly string[] =>
  describeStatus(vm(change), 'debian')
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
    'Port: 127.0.0.1:8080 → 80/tcp',
    'Volume: shop.pgdata → /data (read-only)',
    `Volume: shop.raw → ${device}`,
    'Share: /src → /app (read-only)',
  ])
})

const full = vm({
  state: 'suspended',
  pause: 'the host has no room left for the disk of web in /d; free some, then run `vmctl resume web`',
  memoryMiB: 256,
  ports: [{protocol: 'tcp', bind: '127.0.0.1', host: 8080, guest: 80}],
  problems: ['the hub of its network is gone'],
  provision: [
    {step: 1, title: 'setup.sh', state: 'done', startedAt: 'T'},
    {step: 2, title: 'inline: true', state: 'failed', startedAt: 'T'},
  ],
  pid: 77,
})

test('what one asks comes first, what vmctl needs for itself last', () => {
  expect(describeStatus(full, 'debian')).toBe(
    `Name:      web
State:     paused
Paused:    the host has no room left for the disk of web in /d; free some, then run \`vmctl resume web\`
Problem:   the hub of its network is gone
Log in:    vmctl ssh web (as debian, once it runs)
Port:      127.0.0.1:8080 → 80/tcp
Step 1:    done (setup.sh)
Step 2:    failed (inline: true)
Memory:    256.0 MB
Disk:      1.00 GB
Image:     /image
Created:   2026-01-02T03:04:05.000Z
ID:        ID
Backend:   qemu
PID:       77
WorkDir:   /d
Overlay:   /d/overlay.qcow2`,
  )
  expect(describeStatus(vm({}), undefined)).toContain('Log in:    vmctl console web (nobody has told vmctl of a user')
  expect(describeStatus(vm({backend: 'noop'}), 'debian')).toMatch(
    /^State: {5}running \(noop\)$[^]*^Backend: {3}noop \(no real VM is made\)$/m,
  )
})

test('sentences go on below on a narrow terminal, paths stay whole', () => {
  const text = describeStatus(vm({...full, workDirectory: `/${'long'.repeat(20)}`}), 'debian', {width: 40, colour: false})
  const long = text.split('\n').filter((line) => displayWidth(line) > 40)
  expect(long).toEqual([`WorkDir:   /${'long'.repeat(20)}`])
  expect(text).toContain('Paused:    the host has no room left for\n           the disk of web in /d; free\n')
  expect(stripControls(describeStatus(full, 'debian', {width: 40, colour: true}))).toBe(
    describeStatus(full, 'debian', {width: 40, colour: false}),
  )
  expect(describeStatus(full, 'debian', {colour: true})).toContain('\u001B[31mfailed (inline: true)\u001B[39m')
})

import {expect, test} from 'vitest'

import {makeSpec} from '../../test/support/builders.ts'
import type {PortForward} from '../model/port.ts'
import type {Share, VolumeMount, VolumeSpec} from '../model/storage.ts'
import type {VmSpec} from '../model/vm.ts'
import {applyChanges, compareSpecs} from './changes.ts'
import type {Effect} from './grammar/change.ts'

const GiB = 2 ** 30

const port = (change: Partial<PortForward> = {}): PortForward => ({protocol: 'tcp', bind: '127.0.0.1', host: 8080, guest: 80, ...change})
const mount = (change: Partial<VolumeSpec> = {}): VolumeMount => ({
  volume: {id: 'shop.data', name: 'data', sizeBytes: GiB, filesystem: 'ext4', ...change},
  target: '/data',
  readOnly: false,
  options: [],
})
const share = (target: string): Share => ({
  source: '/src',
  isFile: false,
  target,
  readOnly: true,
  automount: true,
  driver: 'auto',
  options: [],
})

const cases: readonly [string, Partial<VmSpec>, Partial<VmSpec>, string][] = [
  ['nothing', {}, {}, ''],
  ['the name of the file only', {qemu: {args: ['-a']}}, {qemu: {args: ['-a']}}, ''],
  ['more processors', {}, {vcpus: 4}, 'restart: vcpus 1 → 4'],
  ['less memory', {}, {memoryMiB: 512}, 'restart: memory 1024 → 512 MB'],
  ['a disk that grows', {diskBytes: 10 * GiB}, {diskBytes: 20 * GiB}, 'restart: disk 10.00 GB → 20.00 GB'],
  ['a disk that shrinks', {diskBytes: 20 * GiB}, {diskBytes: 10 * GiB}, 'reload: disk 20.00 GB → 10.00 GB'],
  ['a disk size that is new', {}, {diskBytes: 10 * GiB}, 'restart: disk size of the image → 10.00 GB'],
  ['a disk size that is no longer given', {diskBytes: 10 * GiB}, {}, 'now: disk 10.00 GB → size of the image'],
  ['a network', {}, {network: {type: 'tap', bridge: 'br0'}}, 'restart: network user → tap br0'],
  ['a bridge', {network: {type: 'tap', bridge: 'br0'}}, {network: {type: 'tap', bridge: 'br1'}}, 'restart: network tap br0 → tap br1'],
  ['no network', {network: {type: 'vnic', name: 'v0'}}, {network: {type: 'none'}}, 'restart: network vnic v0 → none'],
  ['the image', {}, {image: {kind: 'url', source: 'https://x/y'}}, 'reload: image /images/base.qcow2 → https://x/y'],
  [
    'a checksum of the image',
    {},
    {image: {kind: 'file', source: '/images/base.qcow2', sha256: 'ab'}},
    'reload: image /images/base.qcow2 → /images/base.qcow2',
  ],
  ['cloud-init', {}, {cloudInit: {hostname: 'x', sshKeys: []}}, 'reload: cloud-init'],
  [
    'a key of cloud-init',
    {cloudInit: {hostname: 'x', sshKeys: ['a']}},
    {cloudInit: {hostname: 'x', sshKeys: ['b']}},
    'reload: cloud-init ssh-key',
  ],
  ['the user of SSH', {ssh: {user: 'a'}}, {ssh: {user: 'b'}}, 'now: ssh'],
  ['firmware', {}, {firmware: {type: 'uefi', secureBoot: false}}, 'restart: firmware bios → uefi'],
  ['settings of QEMU', {qemu: {cpu: 'host'}}, {qemu: {cpu: 'max'}}, 'restart: qemu cpu'],
  [
    'the variables of firmware',
    {firmware: {type: 'uefi', secureBoot: false}},
    {firmware: {type: 'uefi', secureBoot: true}},
    'restart: firmware secureBoot',
  ],
  ['how an image is fetched', {}, {image: {kind: 'file', source: '/images/base.qcow2', insecure: true}}, 'now: image +insecure'],
  ['a label', {}, {labels: {tier: 'web'}}, 'now: label +tier'],
  ['autostart', {}, {autostart: false}, 'now: autostart #false'],
  ['autostart again', {autostart: false}, {}, 'now: autostart #true'],
  ['a Dockerfile, whose steps the journal knows', {}, {dockerfile: {path: '/d', context: '/', buildArgs: {}}}, 'now: dockerfile'],
  ['the port of SSH', {ssh: {user: 'a'}}, {ssh: {user: 'a', port: 2222}}, 'restart: ssh port none → 2222'],
  ['the kind of keys', {}, {ssh: {keyType: 'ecdsa'}}, 'reload: ssh key-type ed25519 → ecdsa'],
  ['the kind of keys, said as it is', {ssh: {}}, {ssh: {keyType: 'ed25519'}}, 'now: ssh'],
  ['a service that becomes one of a project', {}, {project: 'p', service: 'web'}, 'now: project none → p; now: service none → web'],
  ['steps', {}, {provision: [{type: 'shell', settings: {inline: 'true'}}]}, ''],
  ['a port more', {}, {ports: [port()]}, 'now: port +8080:80'],
  ['a port less', {ports: [port(), port({host: 1, protocol: 'udp'})]}, {ports: [port()]}, 'now: port −1:80/udp'],
  ['another host port', {ports: [port()]}, {ports: [port({host: 8081})]}, 'now: port +8081:80 −8080:80'],
  ['who may reach a port', {ports: [port()]}, {ports: [port({bind: '0.0.0.0'})]}, 'now: port +0.0.0.0:8080:80 −8080:80'],
  ['a volume more', {}, {volumes: [mount()]}, 'restart: volume +data'],
  ['a volume that grows', {volumes: [mount()]}, {volumes: [mount({sizeBytes: 2 * GiB})]}, 'restart: volume data'],
  ['a volume less', {volumes: [mount()]}, {volumes: []}, 'restart: volume −data'],
  ['a share elsewhere', {shares: [share('/a')]}, {shares: [share('/b')]}, 'restart: share +/b −/a'],
  ['a share that may be written', {shares: [share('/a')]}, {shares: [{...share('/a'), readOnly: false}]}, 'restart: share /a'],
  ['the order of shares', {shares: [share('/a'), share('/b')]}, {shares: [share('/b'), share('/a')]}, 'restart: share order'],
  [
    'several at once',
    {},
    {vcpus: 2, ssh: {}, cloudInit: {hostname: 'x', sshKeys: []}},
    'reload: cloud-init; restart: vcpus 1 → 2; now: ssh',
  ],
]

test.each(cases)('%s', (_, applied, wanted, expected) => {
  const changes = compareSpecs(makeSpec(applied), makeSpec(wanted))
  expect(changes.map(({effect, text}) => `${effect}: ${text}`).join('; ')).toBe(expected)
})

test('the order of properties is no change', () => {
  const left = makeSpec({ssh: {user: 'a', privateKeyPath: '/k'}})
  const right = makeSpec({ssh: {privateKeyPath: '/k', user: 'a'}})
  expect(compareSpecs(left, right)).toEqual([])
})

test('only what may take effect is applied; the rest is seen again next time', () => {
  const applied = makeSpec({ssh: {user: 'a'}, diskBytes: 10 * GiB})
  const wanted = makeSpec({vcpus: 2, image: {kind: 'file', source: '/other'}, provision: [{type: 'shell', settings: {}}]})
  const after = (...effects: Effect[]): VmSpec => applyChanges(applied, wanted, {effects: new Set(effects)})
  const running = after('now')
  expect(running).toEqual(makeSpec({provision: wanted.provision}))
  expect('ssh' in running || 'diskBytes' in running).toBe(false)
  expect(compareSpecs(running, wanted).map(({field}) => field)).toEqual(['image', 'vcpus'])
  const atRest = after('now', 'restart')
  expect(compareSpecs(atRest, wanted).map(({field}) => field)).toEqual(['image'])
  expect(applied).toEqual(makeSpec({ssh: {user: 'a'}, diskBytes: 10 * GiB}))
})

import {describe, expect, test} from 'vitest'

import {makeSpec, makeVm} from '../../../test/support/builders.ts'
import type {Vm} from '../../model/vm.ts'
import {escapeOption, machineType, qemuArguments} from './arguments.ts'
import type {LaunchFacts} from './launch-facts.ts'
import {tapName} from './tap.ts'

const facts = (change: Partial<LaunchFacts> = {}): LaunchFacts => ({
  accelerator: 'kvm',
  macAddress: '52:54:00:12:34:56',
  sshPort: 10_022,
  seed: true,
  ...change,
})

/** One line per option, as in a shell script. */
const lines = (vm: Vm, launch: LaunchFacts): string[] => {
  const result: string[] = []
  for (const word of qemuArguments(vm, launch)) {
    if (word.startsWith('-')) result.push(word)
    else result.push(`${result.pop() ?? ''} ${word}`)
  }
  return result
}

const head = (accelerator: string, cpu: string): string[] => [
  '-name guest=web,debug-threads=on',
  '-uuid 123e4567-e89b-42d3-a456-426614174000',
  '-nodefaults',
  '-no-user-config',
  '-machine q35,graphics=off',
  `-accel ${accelerator}`,
  `-cpu ${cpu}`,
  '-smp 1',
  '-m 1024M',
  '-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
  '-display none',
  '-pidfile pidfile',
  '-chardev socket,id=qmp,path=qmp.sock,server=on,wait=off',
  '-mon chardev=qmp,mode=control',
  '-chardev socket,id=vmctl,path=vmctl.sock,server=on,wait=off',
  '-mon chardev=vmctl,mode=control',
  '-chardev socket,id=console,path=console.sock,server=on,wait=off,logfile=console.log,logappend=on',
  '-serial chardev:console',
]

const disk = (filename = '/state/vms/web/overlay.qcow2'): string[] => [
  `-blockdev ${JSON.stringify({'node-name': 'disk', driver: 'qcow2', discard: 'unmap', file: {driver: 'file', filename, discard: 'unmap'}})}`,
  '-device virtio-blk-pci,drive=disk,bootindex=0',
]

const seed = [
  `-blockdev ${JSON.stringify({'node-name': 'seed', driver: 'raw', 'read-only': true, file: {driver: 'file', filename: '/state/vms/web/seed.iso', 'read-only': true}})}`,
  '-device virtio-scsi-pci,id=scsi',
  '-device scsi-cd,id=seed-drive,bus=scsi.0,drive=seed',
]

const random = ['-object rng-random,id=rng,filename=/dev/urandom', '-device virtio-rng-pci,rng=rng']

const network = (netdev: string): string[] => [`-netdev ${netdev}`, '-device virtio-net-pci,netdev=net0,mac=52:54:00:12:34:56']

test('the usual VM', () => {
  expect(lines(makeVm(), facts())).toEqual([
    ...head('kvm', 'host'),
    ...disk(),
    ...seed,
    ...network('user,id=net0,hostfwd=tcp:127.0.0.1:10022-:22'),
    ...random,
  ])
})

test('TCG, TAP, no seed', () => {
  const vm = makeVm({spec: makeSpec({network: {type: 'tap', bridge: 'br0'}})})
  expect(lines(vm, facts({accelerator: 'tcg', sshPort: undefined, seed: false}))).toEqual([
    ...head('tcg,thread=multi,tb-size=512', 'max'),
    ...disk(),
    ...network(`tap,id=net0,ifname=${tapName(vm)},script=no,downscript=no`),
    ...random,
  ])
})

test('ports of the user network; volumes and shares come last, so that nothing before them moves', () => {
  const usual = lines(makeVm(), facts())
  const ports = [
    {protocol: 'tcp', bind: '127.0.0.1', host: 8080, guest: 80},
    {protocol: 'udp', bind: '0.0.0.0', host: 5353, guest: 53},
  ] as const
  const vm = makeVm({
    attachments: {
      nics: [],
      disks: [
        {path: '/state/volumes/shop/pgdata.qcow2', serial: 'vol-1', readOnly: false},
        {path: '/state/volumes/shop/a,b.qcow2', serial: 'vol-2', readOnly: true},
      ],
      folders: [
        {path: '/home/me/www', tag: 'share-1', readOnly: false, driver: 'auto'},
        {path: '/home/me/a,readonly=off,"b"', tag: 'x,y', readOnly: true, driver: '9p'},
      ],
    },
  })
  const all = lines(vm, facts({ports}))
  const netdev = '-netdev user,id=net0,hostfwd=tcp:127.0.0.1:10022-:22'
  expect(all.slice(0, usual.length)).toEqual(
    usual.map((line) => (line === netdev ? `${netdev},hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp:0.0.0.0:5353-:53` : line)),
  )
  const node = (name: string, filename: string, access: object) =>
    JSON.stringify({
      'node-name': name,
      driver: 'qcow2',
      discard: 'unmap',
      ...access,
      file: {driver: 'file', filename, discard: 'unmap', ...access},
    })
  expect(all.slice(usual.length)).toEqual([
    `-blockdev ${node('volume0', '/state/volumes/shop/pgdata.qcow2', {})}`,
    '-device virtio-blk-pci,drive=volume0,serial=vol-1',
    `-blockdev ${node('volume1', '/state/volumes/shop/a,b.qcow2', {'read-only': true})}`,
    '-device virtio-blk-pci,drive=volume1,serial=vol-2',
    '-fsdev local,id=share0,path=/home/me/www,security_model=none',
    '-device virtio-9p-pci,fsdev=share0,mount_tag=share-1',
    '-fsdev local,id=share1,path=/home/me/a,,readonly=off,,"b",security_model=none,readonly=on',
    '-device virtio-9p-pci,fsdev=share1,mount_tag=x,,y',
  ])
})

test('a folder that virtiofs serves needs memory that can be shared; the others stay with 9p', () => {
  const folder = {path: '/home/me/www', tag: 'share-1', readOnly: false, driver: 'auto'} as const
  const vm = makeVm({attachments: {nics: [], disks: [], folders: [folder, {...folder, tag: 'share-2', driver: '9p'}]}})
  const usual = lines(makeVm(), facts())
  expect(lines(vm, facts({sockets: {'share-1': 'virtiofs-0-x.sock'}})).slice(usual.length)).toEqual([
    '-object memory-backend-memfd,id=memory,size=1024M,share=on',
    '-machine memory-backend=memory',
    '-chardev socket,id=share0,path=virtiofs-0-x.sock',
    '-device vhost-user-fs-pci,chardev=share0,tag=share-1',
    '-fsdev local,id=share1,path=/home/me/www,security_model=none',
    '-device virtio-9p-pci,fsdev=share1,mount_tag=share-2',
  ])
})

test('no network at all is no network card', () => {
  const all = lines(makeVm({spec: makeSpec({network: {type: 'none'}})}), facts())
  expect(all.filter((line) => /netdev|virtio-net/.test(line))).toEqual([])
  // QEMU makes a card by itself unless it is told not to.
  expect(all).toContain('-nodefaults')
})

test('settings of QEMU, and its own arguments last', () => {
  const vm = makeVm({
    spec: makeSpec({vcpus: 4, memoryMiB: 2048, qemu: {machine: 'pc,usb=off', cpu: 'qemu64,+aes', args: ['-vnc', '127.0.0.1:5', '-s']}}),
  })
  const all = qemuArguments(vm, facts())
  const after = (option: string): string | undefined => all[all.indexOf(option) + 1]
  expect([after('-machine'), after('-cpu'), after('-smp'), after('-m')]).toEqual(['pc,usb=off,graphics=off', 'qemu64,+aes', '4', '2048M'])
  expect(all.slice(-3)).toEqual(['-vnc', '127.0.0.1:5', '-s'])
  expect([machineType('pc,usb=off'), machineType(undefined)]).toEqual(['pc', 'q35'])
})

test('UEFI shows the code read-only, and the variables of this VM; secure boot needs SMM', () => {
  const firmware = {code: '/fw/CODE.fd', vars: '/fw/VARS.fd', secureBoot: false}
  const plain = lines(makeVm(), facts({firmware}))
  expect(plain).toContain(
    `-blockdev ${JSON.stringify({'node-name': 'firmware', driver: 'raw', 'read-only': true, file: {driver: 'file', filename: '/fw/CODE.fd', 'read-only': true}})}`,
  )
  expect(plain).toContain(
    `-blockdev ${JSON.stringify({'node-name': 'variables', driver: 'raw', file: {driver: 'file', filename: '/state/vms/web/efivars.fd'}})}`,
  )
  expect(plain).toContain('-machine pflash0=firmware,pflash1=variables')
  expect(plain.join('\n')).not.toContain('/fw/VARS.fd')
  expect(plain.join('\n')).not.toContain('smm=on')
  const secure = lines(makeVm(), facts({firmware: {...firmware, secureBoot: true}}))
  expect(secure).toContain('-machine q35,graphics=off,smm=on')
  expect(secure).toContain('-global driver=cfi.pflash01,property=secure,value=on')
})

describe('hostile names and paths', () => {
  test.each([
    '/a,b/c',
    '/a"b',
    "/a'b",
    '/a\nb',
    '/a\\b',
    '/-x',
    '/a b',
    '/nbd:x',
    '/json:{}',
    '/ä',
    '/a=b',
    '/%d',
    '/a,readonly=off,file=/etc/passwd',
  ])('the directory %j', (directory) => {
    const all = qemuArguments(makeVm({directory}), facts({firmware: {code: `${directory}/code`, vars: 'x', secureBoot: false}}))
    const files = all.filter((_, index) => all[index - 1] === '-blockdev').map((text) => JSON.parse(text).file.filename)
    expect(files).toEqual([`${directory}/code`, `${directory}/efivars.fd`, `${directory}/overlay.qcow2`, `${directory}/seed.iso`])
    // Nothing else knows the directory: it is QEMU's working directory, which keeps sockets short.
    expect(all.filter((word, index) => word.includes(directory) && all[index - 1] !== '-blockdev')).toEqual([])
    expect(all.filter((word) => /path=|pidfile|logfile=/.test(word)).some((word) => word.includes('/'))).toBe(false)
  })

  test('a comma in a name is doubled', () => {
    expect(escapeOption('a,b,,c')).toBe('a,,b,,,,c')
    expect(qemuArguments(makeVm({name: 'x,y=z'}), facts())[1]).toBe('guest=x,,y=z,debug-threads=on')
  })
})

test('nothing listens beyond loopback, whatever the spec', () => {
  const networks = [{type: 'user'}, {type: 'none'}, {type: 'tap', bridge: 'br0'}] as const
  for (const one of networks) {
    for (const accelerator of ['kvm', 'tcg']) {
      const all = qemuArguments(makeVm({spec: makeSpec({network: one})}), facts({accelerator})).join(' ')
      const listeners = [...all.matchAll(/hostfwd=\S+|(?:tcp|udp|telnet|vnc|spice|socket)[:,]\S+/g)].map(([text]) => text)
      for (const listener of listeners)
        expect(listener).toMatch(/^hostfwd=tcp:127\.0\.0\.1:\d+-:22$|^tcp:127\.0\.0\.1:|^socket,id=\w+,path=\w+\.sock,/)
      expect(all).not.toMatch(/-vnc|-spice|-gdb|-monitor|-incoming| -s /)
    }
  }
})

test('the sandbox denies everything that it can', () => {
  const sandbox = qemuArguments(makeVm(), facts())
  expect(sandbox[sandbox.indexOf('-sandbox') + 1]?.split(',').toSorted()).toEqual([
    'elevateprivileges=deny',
    'obsolete=deny',
    'on',
    'resourcecontrol=deny',
    'spawn=deny',
  ])
})

test('PCI devices, and the interrupts that they want', () => {
  const spec = makeSpec({devices: [{address: '0000:01:00.0'}], qemu: {args: ['-S']}})
  const kvm = qemuArguments(makeVm({spec}), facts({accelerator: 'kvm'}))
  expect(kvm[kvm.indexOf('-machine') + 1]).toBe('q35,graphics=off,kernel-irqchip=on')
  expect(kvm.slice(-3)).toEqual(['-device', '{"driver":"vfio-pci","host":"0000:01:00.0"}', '-S'])
  const tcg = qemuArguments(makeVm({spec}), facts({accelerator: 'tcg'}))
  expect(tcg[tcg.indexOf('-machine') + 1]).toBe('q35,graphics=off')
})

test('the display is the one that is asked for, or none', () => {
  expect(lines(makeVm({spec: makeSpec({qemu: {display: 'egl-headless,gl=on'}})}), facts())).toContain('-display egl-headless,gl=on')
})

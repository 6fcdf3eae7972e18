import type {LaunchFacts} from './launch-facts.ts'
import {incomingArguments} from './machine.ts'
import {qemuFiles} from './files.ts'
import type {AttachedDisk, SharedFolder, Vm, VmSpec} from '../../model/vm.ts'
import type {FirmwarePair} from './firmware.ts'
import {networkArguments} from './network.ts'
import {deviceArguments} from './pci.ts'
import type {VirtiofsSockets} from './virtiofsd.ts'

/** seccomp: nothing that a machine without helpers needs is allowed (qemu(1), "-sandbox"). */
export const sandbox = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'

/** The machine type of a spec; QEMU options may follow the type after a comma. */
export const machineType = (machine: string | undefined): string => machine?.split(',')[0] ?? 'q35'

/** Doubles commas, which separate QEMU's options (qemu(1), "-drive file="). */
export const escapeOption = (value: string): string => value.replaceAll(',', ',,')

/**
 * The command line of QEMU for a VM; pure. Files are named by JSON (`-blockdev`), so that no character of a path has a meaning.
 *
 * - Everything that listens does so on loopback or on a Unix socket in the VM's private directory (relative paths: QEMU's
 *   working directory is the VM's).
 * - The seed is a CD-ROM on virtio-scsi: cloud kernels have no AHCI driver, the root disk stays the first virtio disk, and
 *   the medium can be removed while the guest runs.
 */
export const qemuArguments = (vm: Vm, facts: LaunchFacts): string[] => {
  const {spec} = vm
  const files = qemuFiles(vm.directory)
  const {cpu = facts.accelerator === 'kvm' ? 'host' : 'max', display = 'none'} = spec.qemu ?? {}
  // The default translation cache of multi-threaded TCG is a quarter of guest memory's size class; too small a one costs 30–40 %.
  const accelerator = facts.accelerator === 'tcg' ? 'tcg,thread=multi,tb-size=512' : facts.accelerator
  return [
    ...['-name', `guest=${escapeOption(vm.name)},debug-threads=on`],
    ...['-uuid', vm.id],
    ...['-nodefaults', '-no-user-config'],
    ...['-machine', machineOption(spec, facts)],
    ...['-accel', accelerator],
    ...['-cpu', cpu],
    ...['-smp', String(spec.vcpus)],
    ...['-m', `${spec.memoryMiB}M`],
    ...['-sandbox', sandbox],
    ...['-display', display],
    ...['-pidfile', 'pidfile'],
    ...monitor('qmp', 'qmp.sock'),
    ...monitor('vmctl', 'vmctl.sock'),
    ...['-chardev', 'socket,id=console,path=console.sock,server=on,wait=off,logfile=console.log,logappend=on'],
    ...['-serial', 'chardev:console'],
    ...(facts.firmware ? firmwareArguments(facts.firmware, files.efivars) : []),
    ...blockdev('disk', diskOptions(files, facts)),
    ...['-device', 'virtio-blk-pci,drive=disk,bootindex=0'],
    ...(facts.seed
      ? [
          ...['-blockdev', JSON.stringify(seedNode(files.seed))],
          ...['-device', 'virtio-scsi-pci,id=scsi'],
          ...['-device', `scsi-cd,id=${seedDevice},bus=scsi.0,drive=seed`],
        ]
      : []),
    ...networkArguments(vm, facts),
    ...['-object', 'rng-random,id=rng,filename=/dev/urandom'],
    ...['-device', 'virtio-rng-pci,rng=rng'],
    // Last, so that the devices above keep their places in the guest whatever comes and goes here.
    ...attachedArguments(vm, facts.sockets ?? {}),
    ...deviceArguments(spec.devices ?? []),
    ...(spec.qemu?.args ?? []),
    ...incomingArguments(facts),
  ]
}

/** Of a raw file what the guest frees becomes a hole, to the byte: qcow2 keeps what is freed of a cluster that is in use otherwise. */
const diskOptions = ({wholeDisk, overlay}: ReturnType<typeof qemuFiles>, {isWhole}: LaunchFacts) => ({
  ...(isWhole ? {driver: 'raw', 'detect-zeroes': 'unmap'} : {driver: 'qcow2'}),
  discard: 'unmap',
  file: {driver: 'file', filename: isWhole ? wholeDisk : overlay, discard: 'unmap'},
})

/** The drive that shows the seed, and the medium in it. */
export const seedDevice = 'seed-drive'
export const seedNode = (path: string): {readonly 'node-name': string} & Readonly<Record<string, unknown>> => ({
  'node-name': 'seed',
  driver: 'raw',
  'read-only': true,
  file: {driver: 'file', filename: path, 'read-only': true},
})

const machineOption = ({qemu, devices = []}: VmSpec, {firmware, accelerator}: LaunchFacts): string =>
  [
    qemu?.machine ?? 'q35',
    // Firmware and boot loader speak on the serial port then, unless somebody has given the VM a screen.
    ...(hasScreen(qemu) ? [] : ['graphics=off']),
    ...(firmware?.secureBoot ? ['smm=on'] : []),
    // Drivers of graphics cards want interrupts that the kernel delivers.
    ...(devices.length > 0 && accelerator === 'kvm' ? ['kernel-irqchip=on'] : []),
  ].join(',')

/** Whether the VMFile gives the VM a graphics card, or decides itself whether there is to be one. */
const hasScreen = ({machine = '', args = [], display}: NonNullable<VmSpec['qemu']> = {}): boolean =>
  display !== undefined ||
  /(?:^|,)graphics=/.test(machine) ||
  args.some((arg) => /^-vga$|-vga\b|VGA|gpu|qxl|cirrus|ramfb|graphics=/.test(arg))

const monitor = (id: string, path: string): string[] => [
  ...['-chardev', `socket,id=${id},path=${path},server=on,wait=off`],
  ...['-mon', `chardev=${id},mode=control`],
]

const blockdev = (nodeName: string, options: Readonly<Record<string, unknown>>): string[] => [
  '-blockdev',
  JSON.stringify({'node-name': nodeName, ...options}),
]

const attachedArguments = ({attachments, spec}: Vm, sockets: VirtiofsSockets): string[] => [
  ...(attachments?.disks ?? []).flatMap((disk, index) => diskArguments(disk, `volume${index}`)),
  // virtiofsd reads and writes the memory of the guest, so it must be a file that can be shared (QEMU, "vhost-user").
  ...(Object.keys(sockets).length === 0
    ? []
    : [...['-object', `memory-backend-memfd,id=memory,size=${spec.memoryMiB}M,share=on`], ...['-machine', 'memory-backend=memory']]),
  ...(attachments?.folders ?? []).flatMap((folder, index) => {
    const socket = sockets[folder.tag]
    return socket === undefined ? nineArguments(folder, `share${index}`) : virtiofsArguments(folder, {id: `share${index}`, socket})
  }),
]

const diskArguments = ({path, serial, readOnly}: AttachedDisk, id: string): string[] => {
  const access = readOnly ? {'read-only': true} : {}
  return [
    ...blockdev(id, {driver: 'qcow2', discard: 'unmap', ...access, file: {driver: 'file', filename: path, discard: 'unmap', ...access}}),
    ...['-device', `virtio-blk-pci,drive=${id},serial=${serial}`],
  ]
}

/**
 * 9p, whose `local` driver has no JSON form. The security model `none` leaves files as they are on both sides; `mapped-xattr` would
 * make symbolic links plain files, and hide owners and modes in attributes (QEMU, "9pfs").
 */
const nineArguments = ({path, tag, readOnly}: SharedFolder, id: string): string[] => [
  ...['-fsdev', `local,id=${id},path=${escapeOption(path)},security_model=none${readOnly ? ',readonly=on' : ''}`],
  ...['-device', `virtio-9p-pci,fsdev=${id},mount_tag=${escapeOption(tag)}`],
]

const virtiofsArguments = ({tag}: SharedFolder, {id, socket}: {readonly id: string; readonly socket: string}): string[] => [
  ...['-chardev', `socket,id=${id},path=${socket}`],
  ...['-device', `vhost-user-fs-pci,chardev=${id},tag=${escapeOption(tag)}`],
]

const firmwareArguments = (firmware: FirmwarePair, variables: string): string[] => [
  ...(firmware.secureBoot ? ['-global', 'driver=cfi.pflash01,property=secure,value=on'] : []),
  ...blockdev('firmware', {driver: 'raw', 'read-only': true, file: {driver: 'file', filename: firmware.code, 'read-only': true}}),
  ...blockdev('variables', {driver: 'raw', file: {driver: 'file', filename: variables}}),
  ...['-machine', 'pflash0=firmware,pflash1=variables'],
]

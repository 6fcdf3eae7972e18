import {bindAddress, ipv4, macAddress, pciAddress, portText} from './kinds-network.ts'
import {anyText, boolean, fileSafeName, digest, integer, mountPoint, path, text, word} from './kinds.ts'
import {interfaceName, vnicName} from './schema-words.ts'
import {block, choice, defaulted, field, list, required} from './shapes.ts'

const format = field(word('image format', 'qcow2', 'raw', 'vmdk', 'vdi', 'vhdx'), 'Format of the image; detected when absent.')
const os = field(word('init system', 'systemd', 'openrc'), 'Init system of the guest; "systemd" when absent.')
const sha256 = field(digest('sha256'), 'SHA-256 of the file as published.')
const sha512 = field(digest('sha512'), 'SHA-512 of the file as published.')
export const image = block(
  'A disk image on this computer, which is never written to, or the alias of a well-known one.',
  {argument: required(path('"images/debian.qcow2"'), 'Path of the image, or an alias such as "debian:12".')},
  {format, os, sha256, sha512},
)

export const imageUrl = block(
  'A disk image to download, once, into the cache.',
  {
    argument: required(text('URL', {example: '"https://…"'}), 'URL of the image; .zst, .zstd, .gz, .xz and .bz2 are decompressed.'),
  },
  {
    format,
    os,
    sha256,
    sha512,
    'checksum-url': field(text('URL', {example: '"https://…"'}), 'A file of checksums (SHA256SUMS, SHA512SUMS) that lists the image.'),
    insecure: field(boolean, 'Accept http and any certificate of the server.'),
  },
)

const mac = field(macAddress, 'Hardware address; derived from the name of the VM when absent.')
export const network = choice(
  'How the VM is connected.',
  {
    noun: 'network type',
    default: 'user',
    repeatable: true,
    named: {
      noun: 'network',
      doc: 'A network of the top level of the file.',
      fields: {ip: field(ipv4, 'Fixed address in the subnet; chosen, and kept, when absent.'), mac},
    },
  },
  {
    user: {},
    tap: {
      bridge: defaulted(interfaceName('"br0"'), 'br0', 'Bridge of this computer that the VM joins.'),
      ip: field(ipv4, 'Address at which the guest is reached; found out when absent.'),
      mac,
    },
    none: {},
    vnic: {name: required(vnicName, 'VNIC of this computer (illumos).')},
  },
)

/** The arguments of `network` that are no names. */
export const networkTypes = Object.keys(network.variants)

export const port = block(
  'A port of the guest that is reached by a port of this computer.',
  {argument: field(portText, 'Both ports in one text.'), repeatable: true},
  {
    guest: field(integer(1, 65_535, '80'), 'Port of the guest.'),
    host: field(
      integer(1, 65_535, '8080'),
      'Port of this computer, that of the first replica; a free one is chosen, and kept, when absent.',
    ),
    protocol: field(word('protocol', 'tcp', 'udp'), 'Protocol; "tcp" when absent.'),
    bind: field(bindAddress, 'Address of this computer that is listened on; "127.0.0.1" when absent.'),
  },
)

const mountOptions = list(
  text('mount option', {example: '"noatime"', rule: 'without commas and blanks', isValid: (option) => /^[^\s,\p{Cc}]+$/u.test(option)}),
  'Mount options besides those that vmctl needs.',
)
const readOnly = defaulted(boolean, false, 'Whether the guest can only read it.')

export const volume = block(
  'A volume of the top level of the file, mounted in the guest.',
  {argument: required(fileSafeName('volume name', '"data"'), 'Name of the volume.'), positional: ['target'], repeatable: true},
  {
    target: field(mountPoint, 'Where it is mounted in the guest.'),
    'read-only': readOnly,
    'per-replica': defaulted(boolean, false, 'Whether each replica has a volume of its own.'),
    options: mountOptions,
  },
)

export const share = block(
  'A folder or file of this computer in the guest.',
  {positional: ['source', 'target'], repeatable: true},
  {
    source: required(path('"./www"'), 'Folder or file of this computer.'),
    target: required(mountPoint, 'Where it is in the guest.'),
    'read-only': readOnly,
    automount: defaulted(boolean, true, 'Whether vmctl mounts it.'),
    driver: defaulted(
      word('share driver', 'auto', 'virtiofs', '9p'),
      'auto',
      'How it gets into the guest; "auto" is virtiofs where that works, else 9p.',
    ),
    options: mountOptions,
    tag: field(
      text('tag', {rule: 'at most 31 of letters, digits, _ and -', isValid: (tag) => /^[\w-]{1,31}$/.test(tag), example: '"www"'}),
      'Name by which the guest mounts it; derived from the target when absent.',
    ),
  },
)

export const device = block(
  'A device of this computer that the VM gets for itself.',
  {argument: required(word('device type', 'pci'), 'Kind of device.'), positional: ['address'], repeatable: true},
  {
    address: required(pciAddress, 'PCI address, as lspci prints it.'),
    'rom-file': field(path('"vbios.rom"'), 'Image of its expansion ROM.'),
  },
)

export const firmware = block(
  'What boots the VM.',
  {argument: required(word('firmware type', 'bios', 'uefi'), 'Kind of firmware.')},
  {
    'secure-boot': defaulted(boolean, false, 'Verify the boot loader (UEFI).'),
    code: field(path('"/usr/share/OVMF/OVMF_CODE_4M.fd"'), 'Firmware image of your own (UEFI); needs vars.'),
    vars: field(path('"/usr/share/OVMF/OVMF_VARS_4M.fd"'), 'Template of its variables (UEFI); needs code.'),
  },
)

export const qemu = block(
  'Settings of QEMU itself.',
  {body: 'fields'},
  {
    machine: field(text('machine type', {example: '"q35"'}), 'Machine type.'),
    cpu: field(text('CPU model', {example: '"host"'}), 'CPU model.'),
    accel: list(word('accelerator', 'kvm', 'tcg', 'hvf', 'whpx', 'nvmm', 'xen'), 'Accelerators, in the order in which they are tried.'),
    binary: field(text('program', {example: '"qemu-system-x86_64"'}), 'Program to run: a name, or a path.'),
    display: field(text('display', {example: '"none"'}), 'Display, as QEMU knows it by -display; none when absent.'),
    args: list(anyText, 'Arguments to add at the end, unchecked.'),
  },
)

import {isHostname, isUserName} from '../model/names.ts'
import {runModes} from '../model/vm.ts'
import {anyText, boolean, digest, duration, fileMode, integer, path, size, text, vmName, word} from './kinds.ts'
import {block, choice, defaulted, field, list, pairs, required} from './shapes.ts'
import type {Kind} from './shapes.ts'

/*
 * The language, as data. The reader interprets this table, and the reference is generated from it.
 * Checks that involve more than one value (or a file) are in the build-*.ts files.
 */

const format = field(word('image format', 'qcow2', 'raw', 'vmdk', 'vdi', 'vhdx'), 'Format of the image; detected when absent.')
const sha256 = field(digest('sha256'), 'SHA-256 of the file as published.')
const sha512 = field(digest('sha512'), 'SHA-512 of the file as published.')
const userName = text('user name', {
  rule: 'lower-case letters, digits, _ and -; it starts with a letter or _',
  isValid: isUserName,
  example: '"ubuntu"',
})
const interfaceName = (example: string) =>
  text('interface name', {
    rule: 'at most 15 characters, without blanks and /',
    isValid: (name) => name.length <= 15 && /^[\w.:@-]+$/.test(name) && !/^\.+$/.test(name),
    example,
  })
const ownerName = text('owner', {
  rule: 'write "user" or "user:group"',
  isValid: (owner) => /^(?:[a-z_][a-z0-9_-]{0,31}|\d{1,10})(?::(?:[a-z_][a-z0-9_-]{0,31}|\d{1,10}))?$/.test(owner),
  example: '"root:root"',
})
const guestPath = text('path in the guest', {
  rule: 'it must be absolute: it starts with /',
  isValid: (name) => name.startsWith('/'),
  example: '"/etc/app.conf"',
})
const privileged = defaulted(boolean, false, 'Work as root, by way of sudo.')

const variableName = {
  isKey: (key: string): boolean => /^[A-Za-z_][A-Za-z0-9_]*$/.test(key),
  keyRule: 'a variable has letters, digits and _, and does not start with a digit',
}
const environment = pairs(anyText, variableName, 'Environment variables.')

/** Where the value of a secret is: here, in a variable of vmctl's own environment, or in a file of this computer. */
export type SecretSource = {readonly text: string} | {readonly variable: string} | {readonly file: string}

const secret = (kind: Kind<string>, wrap: (value: string) => SecretSource): Kind<SecretSource> => ({
  ...kind,
  read(value, fail) {
    const read = kind.read(value, fail)
    return read === undefined ? undefined : wrap(read)
  },
})
const hostVariable = text('variable name', {rule: variableName.keyRule, isValid: variableName.isKey, example: '"CI_TOKEN"'})
const secretEnvironment = pairs(
  secret(anyText, (value) => ({text: value})),
  {
    ...variableName,
    instead: {
      'from-env': secret(hostVariable, (variable) => ({variable})),
      'from-file': secret(path('"token.txt"'), (file) => ({file})),
    },
  },
  'Environment variables whose values are neither shown nor kept; in the block also taken from a variable or a file of this computer.',
)

const image = block(
  'A disk image on this computer. It is never written to.',
  {
    argument: required(path('"images/debian.qcow2"'), 'Path of the image.'),
    later: ['os'],
  },
  {format, sha256, sha512},
)

const imageUrl = block(
  'A disk image to download, once, into the cache.',
  {
    argument: required(text('URL', {example: '"https://…"'}), 'URL of the image; .zst, .zstd, .gz, .xz and .bz2 are decompressed.'),
    later: ['os', 'insecure'],
  },
  {
    format,
    sha256,
    sha512,
    'checksum-url': field(text('URL', {example: '"https://…"'}), 'A file of checksums (SHA256SUMS, SHA512SUMS) that lists the image.'),
  },
)

const network = choice(
  'How the VM is connected.',
  {noun: 'network type', default: 'user', later: ['mac', 'ip']},
  {
    user: {},
    tap: {bridge: defaulted(interfaceName('"br0"'), 'br0', 'Bridge of this computer that the VM joins.')},
    none: {},
    vnic: {name: required(interfaceName('"vnic0"'), 'VNIC of this computer (illumos).')},
  },
)

const cloudInit = block(
  'Configures the guest at its first boot.',
  {
    later: [
      'packages',
      'package-update',
      'package-upgrade',
      'write-file',
      'bootcmd',
      'runcmd',
      'network-config',
      'vendor-data',
      'timezone',
      'locale',
      'password',
      'console-autologin',
      'merge',
    ],
  },
  {
    hostname: field(
      text('host name', {rule: 'letters, digits and inner dashes, in parts joined by dots', isValid: isHostname, example: '"web"'}),
      'Host name of the guest; the name of the VM when absent.',
    ),
    user: field(userName, 'User to create in the guest; the SSH user when absent.'),
    'ssh-key': list(text('public key', {example: '"~/.ssh/id_ed25519.pub"'}), 'Path of a file with public keys, or a public key itself.', {
      synonyms: ['ssh-keys', 'public-key', 'ssh-authorized-keys'],
    }),
    'user-data': field(path('"cloud-config.yaml"'), 'File that is passed to cloud-init untouched, instead of what vmctl generates.'),
  },
)

const ssh = block(
  'How vmctl logs in to the guest; needed for provisioning and `vmctl ssh`.',
  {body: 'fields', later: ['port', 'host-key-check', 'connect-timeout']},
  {
    user: field(userName, 'User to log in as; the user of cloud-init, or "vm", when absent.'),
    'private-key': field(path('"~/.ssh/id_ed25519"'), 'Private key; the generated one, or those of ~/.ssh, when absent.', {
      synonyms: ['identity', 'identity-file', 'key'],
    }),
  },
)

const firmware = block(
  'What boots the VM.',
  {argument: required(word('firmware type', 'bios', 'uefi'), 'Kind of firmware.')},
  {
    'secure-boot': defaulted(boolean, false, 'Verify the boot loader (UEFI).'),
    code: field(path('"/usr/share/OVMF/OVMF_CODE_4M.fd"'), 'Firmware image of your own (UEFI); needs vars.'),
    vars: field(path('"/usr/share/OVMF/OVMF_VARS_4M.fd"'), 'Template of its variables (UEFI); needs code.'),
  },
)

const qemu = block(
  'Settings of QEMU itself.',
  {body: 'fields', later: ['display']},
  {
    machine: field(text('machine type', {example: '"q35"'}), 'Machine type.'),
    cpu: field(text('CPU model', {example: '"host"'}), 'CPU model.'),
    accel: list(word('accelerator', 'kvm', 'tcg', 'hvf', 'whpx', 'nvmm', 'xen'), 'Accelerators, in the order in which they are tried.'),
    binary: field(text('program', {example: '"qemu-system-x86_64"'}), 'Program to run: a name, or a path.'),
    args: list(anyText, 'Arguments to add at the end, unchecked.'),
  },
)

const run = field(
  word('run mode', ...runModes),
  'When a step that is done runs again: at each start, when it changed, or never; files have `on-change`, others `always`.',
)

const provision = choice(
  'One step that sets up the guest. Steps run in the order of the file.',
  {
    noun: 'provision type',
    default: 'shell',
    repeatable: true,
    extensible: true,
    common: {run},
    later: ['interpreter', 'path', 'context', 'build-arg', 'dockerfile'],
  },
  {
    shell: {
      inline: field(text('command', {example: '"apt-get update"'}), 'Command line to run in the guest.'),
      script: field(path('"scripts/setup.sh"'), 'Script to copy into the guest and run there.'),
      args: list(anyText, 'Arguments of the script.'),
      env: environment,
      'secret-env': secretEnvironment,
      timeout: field(duration, 'How long the step may take.'),
      privileged,
      run,
    },
    file: {
      source: required(path('"app.conf"'), 'File or directory to copy.'),
      destination: required(guestPath, 'Where it goes in the guest.'),
      mode: field(fileMode, 'Mode of the copy; that of the source when absent.'),
      owner: field(ownerName, 'Owner of the copy.'),
      ignore: list(text('pattern', {example: '"node_modules"'}), 'What a directory is copied without, as in .gitignore.'),
      mirror: defaulted(boolean, false, 'Delete what the destination has and the source directory does not.'),
      privileged,
      run,
    },
    reboot: {
      timeout: field(duration, 'How long the guest may take to come back; 10 minutes when absent.'),
      run,
    },
  },
)

const vm = block(
  'A virtual machine.',
  {
    argument: required(vmName, 'Name of the VM; unique in the file.'),
    body: 'block',
    repeatable: true,
    later: [
      'port',
      'volume',
      'share',
      'device',
      'env',
      'label',
      'autostart',
      'replicas',
      'dockerfile',
      'depends-on',
      'healthcheck',
      'stop-grace-period',
    ],
  },
  {
    image,
    'image-url': imageUrl,
    vcpus: defaulted(integer(1, 1024, '2'), 1, 'Number of virtual CPUs.', {synonyms: ['cpus', 'cpu', 'cores', 'vcpu']}),
    memory: defaulted(
      size({unit: 'MB', leastBytes: 64 * 2 ** 20, least: '64 MB', stepBytes: 2 ** 20, example: '2048'}),
      2 ** 30,
      'Memory.',
      {synonyms: ['mem', 'ram']},
    ),
    disk: field(
      size({unit: 'GB', leastBytes: 2 ** 20, least: '1 MB', stepBytes: 512, example: '20'}),
      'Size of the disk; that of the image when absent.',
      {synonyms: ['storage', 'disk-size']},
    ),
    network,
    'cloud-init': cloudInit,
    ssh,
    firmware,
    qemu,
    provision,
  },
)

/** The top level of a VMFile. */
export const vmfile = block('A VMFile.', {later: ['project', 'network', 'volume']}, {vm})

/** The provision types that every vmctl knows; plugins bring more. */
export const provisionVariants = provision.variants

import {dependencyConditions} from '../../model/stack.ts'
import {ipv4, subnet} from './kinds-network.ts'
import {anyText, boolean, fileSafeName, durationOf, integer, label, size, text, vmName, word} from './kinds.ts'
import {cloudInit, dockerfile, healthcheck, provision, ssh} from './schema-guest.ts'
import {device, firmware, image, imageUrl, network, port, qemu, share, volume} from './schema-machine.ts'
import {interfaceName, names, variableName} from './schema-words.ts'
import {block, defaulted, field, list, pairs, required} from './shapes.ts'

/*
 * The language, as data. The reader interprets this table, and the reference is generated from it.
 * Checks that involve more than one value (or a file) are in the build-*.ts files.
 */

const dependsOn = block(
  'Other VMs of the file that must come first.',
  {positional: ['vm'], repeatable: true},
  {
    vm: list(text('VM name', {example: '"db"'}), 'Services, or single replicas.'),
    condition: field(
      word('condition', ...dependencyConditions),
      'How far they must have come; "healthy" when absent if they have a health check, else "started".',
    ),
  },
)

/** What a VM can have of its own, and by the defaults of the project. */
export const vmDefaults = {
  vcpus: defaulted(integer(1, 1024, '2'), 1, 'Number of virtual CPUs.', {synonyms: ['cpus', 'cpu', 'cores', 'vcpu']}),
  memory: defaulted(size({unit: 'MB', leastBytes: 64 * 2 ** 20, least: '64 MB', stepBytes: 2 ** 20, example: '2048'}), 2 ** 30, 'Memory.', {
    synonyms: ['mem', 'ram'],
  }),
  disk: field(
    size({unit: 'GB', leastBytes: 2 ** 20, least: '1 MB', stepBytes: 512, example: '20'}),
    'Size of the disk; that of the image when absent.',
    {synonyms: ['storage', 'disk-size']},
  ),
  network,
  port,
  volume,
  share,
  device,
  healthcheck,
  'stop-grace-period': field(
    durationOf({leastMs: 0, least: '0 or more', example: '"30s"'}),
    'How long the guest may take to power off before it is forced to; 30 s when absent.',
  ),
  env: pairs(anyText, variableName, 'Environment variables of the guest, of provision steps and of the health check.'),
  'cloud-init': cloudInit,
  ssh,
  firmware,
  qemu,
  provision,
  autostart: field(boolean, 'Whether `vmctl install` brings the VM up at boot; it does when absent.'),
  label: pairs(anyText, names, 'Names and values of your own.'),
}

const vm = block(
  'A virtual machine.',
  {argument: required(vmName, 'Name of the VM; unique in the file.'), body: 'block', repeatable: true},
  {
    image,
    'image-url': imageUrl,
    dockerfile,
    ...vmDefaults,
    replicas: defaulted(integer(1, 253, '2'), 1, 'How many of it there are; with more than one they are called NAME-0, NAME-1 and so on.'),
    'depends-on': dependsOn,
  },
)

const project = block(
  'What the VMs of the file have in common.',
  {argument: required(label('project name', '"shop"'), 'Name of the project; the names of its VMs begin with it.')},
  {
    defaults: block("Settings of all VMs. A VM's own settings win; blocks and names with values are merged.", {}, vmDefaults),
    'ssh-key': list(
      text('public key', {example: '"~/.ssh/id_ed25519.pub"'}),
      'Public keys for every VM: paths of files, or keys themselves.',
    ),
    label: pairs(anyText, names, 'Names and values for every VM.'),
  },
)

const networkDefinition = block(
  'A network between the VMs of the file.',
  {
    argument: required(label('network name', '"lan"'), 'Name of the network. VMs without a network node join the one named "default".'),
    repeatable: true,
  },
  {
    driver: defaulted(
      word('network driver', 'mesh', 'bridge', 'external'),
      'mesh',
      'Mesh needs no privilege, bridge is one that vmctl makes, external is a bridge that exists.',
    ),
    subnet: field(subnet, 'IPv4 subnet; chosen, and kept, when absent or "auto".'),
    'bridge-name': field(interfaceName('"br0"'), 'Name of the bridge; made up when absent, unless the driver is external.'),
    gateway: field(ipv4, 'Address of this computer on the bridge; the first of the subnet when absent.'),
    dhcp: field(boolean, 'Whether this computer assigns addresses; a bridge does when absent.'),
    dns: field(boolean, 'Whether this computer resolves names; a bridge does when absent.'),
    nat: field(boolean, 'Whether the VMs reach other networks through this computer; by a bridge they do when absent.'),
    mtu: field(integer(576, 65_535, '1500'), 'Largest packet in bytes.'),
  },
)

const volumeDefinition = block(
  'A disk that outlives its VMs.',
  {argument: required(fileSafeName('volume name', '"data"'), 'Name of the volume.'), repeatable: true},
  {
    size: defaulted(
      size({unit: 'GB', leastBytes: 2 ** 20, least: '1 MB', stepBytes: 2 ** 20, example: '20'}),
      10 * 2 ** 30,
      'Size of the disk.',
    ),
    filesystem: defaulted(word('file system', 'ext4', 'xfs', 'none'), 'ext4', 'File system that it gets in the guest when it is empty.'),
    label: field(
      text('file system label', {
        rule: 'at most 12 of letters, digits, . _ and -',
        isValid: (name) => /^[\w.-]{1,12}$/.test(name),
        example: '"pgdata"',
      }),
      'Label of the file system; derived from the name when absent.',
    ),
  },
)

/** The top level of a VMFile. */
export const vmfile = block('A VMFile.', {}, {project, network: networkDefinition, volume: volumeDefinition, vm})

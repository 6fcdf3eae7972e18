import {isHostname, isUserName} from '../../model/names.ts'
import {node} from '../kdl.ts'
import {readFolder} from './folders.ts'
import {flagOf, type Machine, numberOf, textOf} from './machine.ts'
import {readNetwork} from './networks.ts'
import {readProvider} from './providers.ts'
import {readProvision} from './provision.ts'
import {type Setting, toText} from './evaluate/values.ts'

type Read = (machine: Machine, setting: Setting) => void

/** What is understood, by its path behind `config`. */
const readers: Readonly<Record<string, Read>> = {
  'vm.box': (machine, {path, line, args}) => {
    machine.box = textOf(machine.shared, args[0], {path, line}) ?? ''
  },
  'vm.hostname': (machine, setting) => readHostname(machine, setting),
  'vm.host_name': (machine, setting) => readHostname(machine, setting),
  'vm.network': readNetwork,
  'vm.forward_port': (machine, setting) => {
    const [guest = null, host = null] = setting.args
    readNetwork(machine, {...setting, args: ['forwarded_port'], options: new Map([...setting.options, ['guest', guest], ['host', host]])})
  },
  'vm.synced_folder': readFolder,
  'vm.share_folder': (machine, setting) => {
    const [, guest = null, host = null] = setting.args
    readFolder(machine, {...setting, args: [host, guest]})
  },
  'vm.provider': readProvider,
  'vm.customize': (machine, setting) => {
    readProvider(machine, {...setting, args: ['virtualbox'], children: [{...setting, path: 'customize'}]})
  },
  'vm.provision': readProvision,
  'vm.disk': (machine, setting) => readDisk(machine, setting),
  'disksize.size': (machine, {path, line, args}) => {
    const size = textOf(machine.shared, args[0], {path, line})
    if (size !== undefined) machine.disk = node('disk', /^\d+$/.test(size) ? Number(size) : size)
  },
  'vm.graceful_halt_timeout': (machine, {path, line, args}) => {
    const seconds = numberOf(machine.shared, args[0], {path, line})
    if (seconds !== undefined) machine.nodes.set('stop-grace-period', node('stop-grace-period', seconds))
  },
  'vm.boot_timeout': (machine, {path, line, args}) => {
    machine.bootTimeout = numberOf(machine.shared, args[0], {path, line}) || undefined
  },
  'ssh.username': (machine, {path, line, args}) => {
    const user = textOf(machine.shared, args[0], {path, line})
    if (user !== undefined && isUserName(user)) machine.user = user
    else if (user !== undefined) machine.shared.warnings.atLine(line, `the user ${JSON.stringify(user)} is left out: that is no user name`)
  },
}

const readHostname: Read = (machine, {path, line, args}) => {
  const name = textOf(machine.shared, args[0], {path, line})
  if (name === undefined) return
  if (isHostname(name)) machine.hostname = name
  else
    machine.shared.warnings.atLine(
      line,
      `the host name ${JSON.stringify(name)} is left out: it has letters, digits and dashes, in parts joined by dots`,
    )
}

/** `vm.disk :disk, size: "40GB", primary: true`; other disks become volumes without a file system. */
const readDisk: Read = (machine, {path, line, args, options}) => {
  const {shared} = machine
  const kind = toText(args[0])
  const size = kind === 'disk' ? textOf(shared, options.get('size'), {path, line}) : undefined
  const isUsable = size !== undefined && /^\d+(?:\.\d+)?\s*[KMGT]?B?$/i.test(size)
  if (!isUsable) {
    shared.warnings.atLine(line, `\`vm.disk\` is left out: it is no hard disk of a known size; write \`disk "40G"\`, or a \`volume\``)
    return
  }
  // A bare number is in bytes.
  const written = /^\d+$/.test(size) ? `${size}B` : size.replaceAll(/\s/g, '')
  for (const name of options.keys())
    if (!['size', 'primary', 'name'].includes(name)) shared.leftOut.add('options of disks are left out', name, line)
  if (flagOf(options.get('primary')) === true) machine.disk = node('disk', written)
  else machine.volumes.push({name: toText(options.get('name')) ?? `disk${machine.volumes.length + 1}`, size: written})
}

/** What says nothing about the VM itself. */
const silent = new Set(['vm.box_check_update', 'ssh.insert_key', 'vm.box_download_checksum_type'])

const advice: Readonly<Record<string, string>> = {
  'vm.box_version': 'the image is the newest of its release; `image-url "…" sha256="…"` pins one',
  'vm.box_url': 'a box is an archive of Vagrant and no disk image; name an image with `image` or `image-url`',
  'vm.usable_port_range': 'a `port` without one of the host gets a free one',
  'ssh.private_key_path': 'vmctl makes a key for each VM; `cloud-init { ssh-key "FILE.pub"; }` adds yours',
  'ssh.password': 'vmctl logs in by a key that it makes',
  'ssh.port': '`ssh { port 2222; }` fixes the port',
  'ssh.forward_agent': 'write `ForwardAgent yes` for the VM into ~/.ssh/config, beside what `vmctl ssh-config` prints',
  'vm.post_up_message': 'write it into your README',
  'vm.guest': 'guests of vmctl are set up by cloud-init',
  'vm.communicator': 'vmctl logs in by SSH',
}

/** Reads one setting of a machine; one that is not understood is named. */
export const readSetting = (machine: Machine, setting: Setting): void => {
  const {path, line} = setting
  const {warnings, leftOut} = machine.shared
  const read = Object.hasOwn(readers, path) ? readers[path] : undefined
  if (read) {
    read(machine, setting)
    return
  }
  if (silent.has(path)) return
  const [part = '', ...more] = path.split('.')
  if (advice[path] !== undefined) warnings.atLine(line, `\`${path}\` is left out: ${advice[path]}`)
  else if (part === 'trigger') warnings.atLine(line, 'triggers are left out: vmctl runs nothing on the host; do so around `vmctl up`')
  else if (part === 'vm' && more[0] === 'define') warnings.atLine(line, 'a machine within a machine is left out: write a `vm` of its own')
  else if (part === 'vm' || part === 'ssh') leftOut.add('settings without a counterpart are left out', path, line)
  else leftOut.add('settings of plugins, and of Vagrant itself, are left out', path, line)
}

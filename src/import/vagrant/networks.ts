import {contains, formatAddress, formatSubnet, parseAddress, parseSubnet, type Subnet} from '../../model/ipv4.ts'
import {importedLabel} from '../draft.ts'
import {group, type KdlNode, node, withProps} from '../kdl.ts'
import {flagOf, type Machine, type Network, type Networks, numberOf, textOf} from './machine.ts'
import {isUnknown, type Setting, toText, type Value} from './evaluate/values.ts'

export const openNetworks = (): Networks => ({all: new Map()})

/** The nodes of the top level. */
export const networkNodes = ({all}: Networks): readonly KdlNode[] =>
  [...all.values()].map(({name, subnet}) =>
    subnet ? group('network', [name], [node('subnet', formatSubnet(subnet))]) : node('network', name),
  )

const reachable =
  'the host cannot reach the addresses of a private network (a mesh needs no privilege): add a `port` for what the host uses, or write `driver "bridge"` in the network'

/** `config.vm.network`. */
export const readNetwork = (machine: Machine, setting: Setting): void => {
  const kind = toText(setting.args[0])
  const {warnings} = machine.shared
  if (setting.options.has('**') || kind === undefined) {
    warnings.atLine(setting.line, 'this network is left out: its options are made when the file runs')
  } else if (kind === 'forwarded_port') readPort(machine, setting)
  else if (kind === 'private_network' || kind === 'hostonly') readPrivate(machine, setting)
  else if (kind === 'public_network' || kind === 'bridged') {
    warnings.atLine(setting.line, 'public_network is left out: for a bridge of the host write `network "tap" bridge="br0"`')
  } else warnings.atLine(setting.line, `the network ${JSON.stringify(kind)} is left out: it is none that vmctl has`)
}

const privateOptions = new Set(['ip', 'netmask', 'type', 'mac', 'virtualbox__intnet', 'libvirt__network_name', 'id'])

const readPrivate = (machine: Machine, setting: Setting): void => {
  const {shared} = machine
  const {line, options} = setting
  if (isOff(machine, setting, 'network')) return
  const [, second] = setting.args
  const given = options.get('ip') ?? second
  const ip = textOf(shared, given, {path: 'ip', line})
  if (given !== undefined && ip === undefined) return
  const address = ip === undefined ? undefined : parseAddress(ip)
  if (ip !== undefined && address === undefined) {
    shared.warnings.atLine(line, `the private network with ${ip} is left out: vmctl has networks of IPv4 addresses`)
    return
  }
  const subnet = address === undefined ? undefined : parseSubnet(`${ip}/${prefixOf(options.get('netmask'))}`)
  const network = networkOf(shared.networks, nameOf(options), subnet)
  const mac = macOf(options.get('mac'))
  for (const name of options.keys())
    if (!privateOptions.has(name)) shared.leftOut.add('options of private_network are left out', name, line)
  if (machine.networks.some(({args}) => args[0] === network.name)) {
    shared.warnings.atLine(line, `a second address in network "${network.name}" is left out: a VM has one in each`)
    return
  }
  shared.warnings.atLine(line, reachable)
  machine.networks.push(withProps(node('network', network.name), {ip: usable(machine, {address, network, line}), mac}))
}

/** Whether it is switched off, or may be. */
const isOff = ({shared}: Machine, {options, line}: Setting, what: string): boolean => {
  const isDisabled = flagOf(options.get('disabled'))
  if (isDisabled === undefined) shared.warnings.atLine(line, `this ${what} is left out: whether it is switched on is not known`)
  return isDisabled !== false
}

const nameOf = (options: ReadonlyMap<string, Value>): string | undefined => {
  const named = options.get('virtualbox__intnet') ?? options.get('libvirt__network_name')
  if (named === true) return 'intnet'
  const label = importedLabel(toText(named) ?? '')
  return label && ['user', 'tap', 'none', 'vnic'].includes(label) ? `${label}-net` : label
}

const prefixOf = (netmask: Value | undefined): number => {
  const text = toText(netmask) ?? ''
  if (/^\d{1,2}$/.test(text)) return Number(text)
  const mask = parseAddress(text)
  if (mask === undefined) return 24
  const prefix = mask.toString(2).replace(/0+$/, '').length
  return prefix >= 8 && prefix <= 29 ? prefix : 24
}

const networkOf = ({all}: Networks, named: string | undefined, subnet: Subnet | undefined): Network => {
  const same = [...all.values()].find((one) =>
    named === undefined
      ? subnet
        ? one.subnet && contains(one.subnet, subnet.first)
        : one.subnet === undefined && one.name.startsWith('private')
      : one.name === named,
  )
  if (same) {
    same.subnet ??= subnet
    return same
  }
  const name = named ?? (all.has('private') ? `private-${all.size + 1}` : 'private')
  const network = {name, subnet}
  all.set(name, network)
  return network
}

interface Wanted {
  readonly address: number | undefined
  readonly network: Network
  readonly line: number
}

/** The first address of a subnet is kept for a gateway, in Vagrant for the host. */
const usable = ({shared}: Machine, {address, network: {subnet}, line}: Wanted): string | undefined => {
  if (address === undefined || !subnet) return undefined
  const isHost = contains(subnet, address) && address > subnet.first + 1 && address < subnet.last
  if (!isHost)
    shared.warnings.atLine(
      line,
      `the address ${formatAddress(address)} is left out, and another is chosen: in ${formatSubnet(subnet)} it is no address for a VM`,
    )
  return isHost ? formatAddress(address) : undefined
}

const macOf = (value: Value | undefined): string | undefined => {
  const digits = (toText(value) ?? '').toLowerCase().replaceAll(/[:-]/g, '')
  return /^[\da-f]{12}$/.test(digits) ? (digits.match(/../g) ?? []).join(':') : undefined
}

const readPort = (machine: Machine, setting: Setting): void => {
  const {shared} = machine
  const {line, options} = setting
  const guest = numberOf(shared, options.get('guest'), {path: 'guest', line})
  // A later one of the same name changes an earlier one.
  const id = idOf(options)
  const before = machine.ports.findIndex((port) => port.id === id)
  if (before >= 0) machine.ports.splice(before, 1)
  if (isOff(machine, setting, 'port')) return
  if (id === 'ssh' || guest === 22) {
    shared.warnings.atLine(line, 'the port for SSH is left out: vmctl chooses one and finds it itself; `ssh { port 2222; }` fixes it')
    return
  }
  if (!isPort(guest) || isUnknown(options.get('host'))) {
    shared.warnings.atLine(line, 'this port is left out: one of its numbers is not known; write `port "HOST:GUEST"`')
    return
  }
  for (const name of options.keys()) if (!portOptions.has(name)) shared.leftOut.add('options of forwarded_port are left out', name, line)
  const host = numberOf(shared, options.get('host'), {path: 'host', line})
  const bind = textOf(shared, options.get('host_ip'), {path: 'host_ip', line})
  const protocol = textOf(shared, options.get('protocol'), {path: 'protocol', line})
  // Vagrant itself listens on all addresses unless told otherwise.
  if (bind === undefined)
    shared.warnings.atLine(line, 'ports listen on 127.0.0.1, where Vagrant takes all addresses: add bind="0.0.0.0" to let other hosts in')
  const isFlexible = flagOf(options.get('auto_correct')) === true
  machine.ports.push({id, guest, host: host === 0 ? undefined : host, protocol, bind: bindOf(bind), isFlexible, line})
}

const bindOf = (address: string | undefined): string | undefined => (address === '' || address === '*' ? '0.0.0.0' : address)

/** The name of a forwarded port: its own, or what it has on the host. */
const idOf = (options: ReadonlyMap<string, Value>): string =>
  toText(options.get('id')) ?? ['host_ip', 'protocol', 'host'].map((name) => toText(options.get(name)) ?? '').join(' ')

const portOptions = new Set(['guest', 'host', 'host_ip', 'protocol', 'auto_correct', 'id', 'disabled'])

const isPort = (port: number | undefined): port is number => port !== undefined && port >= 1 && port <= 65_535

/** The nodes of ports. A port of the host that another VM has is left to vmctl, which chooses a free one. */
export const portNodes = (machine: Machine, taken: Map<string, string>): readonly KdlNode[] =>
  machine.ports.map(({guest, host, protocol, bind, isFlexible, line}) => {
    const key = `${host}/${protocol ?? 'tcp'}`
    const owner = host === undefined ? undefined : taken.get(key)
    if (owner !== undefined && !isFlexible)
      machine.shared.warnings.atLine(line, `a free port is chosen where another machine has the port already: \`vmctl status\` shows it`)
    if (host !== undefined && owner === undefined) taken.set(key, machine.name)
    const own = owner === undefined ? host : undefined
    if (own !== undefined && bind === undefined && protocol === undefined) return node('port', `${own}:${guest}`)
    return withProps(node('port'), {guest, host: own, protocol, bind})
  })

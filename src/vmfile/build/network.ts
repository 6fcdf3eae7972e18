import {contains, formatAddress, overlaps, parseAddress, parseSubnet, type Subnet} from '../../model/ipv4.ts'
import type {NetworkAttachment, NetworkSpec} from '../../model/stack.ts'
import type {NetworkConfig} from '../../model/vm.ts'
import {type Context, optional} from './context.ts'
import type {Report, Span} from '../kdl/report.ts'
import {networkTypes} from '../grammar/schema-machine.ts'
import type {vmfile} from '../grammar/schema.ts'
import type {Located, Read} from '../grammar/shapes.ts'
import {nearest, plain, quoted} from '../kdl/wording.ts'

type ReadDefinition = Read<(typeof vmfile)['fields']['network']>[number]
type ReadNetwork = Read<(typeof vmfile)['fields']['vm']['fields']['network']>[number]
type ReadAttachment = Extract<ReadNetwork, {type: 'named'}>

/** A network of the file, with the place where it is declared. */
export interface DeclaredNetwork {
  readonly spec: NetworkSpec
  readonly place: Span
}

export type DeclaredNetworks = ReadonlyMap<string, DeclaredNetwork>

/** The networks of the top level, by name. */
export const buildNetworks = (definitions: readonly ReadDefinition[], scope: string, {report}: Context): DeclaredNetworks => {
  const declared = new Map<string, DeclaredNetwork>()
  for (const definition of definitions) {
    const name = definition.argument
    if (!name) continue
    const first = declared.get(name.value)
    if (networkTypes.includes(name.value)) {
      report.error(
        name,
        `a network cannot be named ${plain(name.value)}`,
        `network "${name.value}" means a way to connect a VM; choose another name`,
      )
    } else if (first) {
      const line = report.lineOf(first.place.start)
      report.error(name, `there are two networks named "${name.value}"`, `the first is in line ${line}; choose another name`)
    } else {
      declared.set(name.value, {spec: buildDefinition(definition, name.value, {scope, report}), place: name})
    }
  }
  refuseOverlap(definitions, report)
  return declared
}

const buildDefinition = (
  {fields, ...place}: ReadDefinition,
  name: string,
  {scope, report}: {scope: string; report: Report},
): NetworkSpec => {
  const {driver, subnet, 'bridge-name': bridgeName, gateway, mtu} = fields
  refuseByDriver(fields, report)
  if (driver.value === 'external' && !bridgeName)
    report.error(place, `network "${name}" needs the name of the bridge that exists`, 'add bridge-name "br0"')
  const range = subnet && parseSubnet(subnet.value)
  if (gateway && !range) report.error(gateway, 'a gateway needs a subnet', 'add subnet "10.20.0.0/24"')
  if (gateway && range && !isHost(range, gateway.value))
    report.error(gateway, `${gateway.value} is no address of a host in ${subnet.value}`, hostsOf(range))
  const services = driver.value === 'bridge' ? ofBridge(fields) : {dhcp: false, dns: false, nat: false}
  return {
    id: `${scope}.${name}`,
    name,
    driver: driver.value,
    ...optional('subnet', range && subnet?.value),
    ...optional('bridgeName', bridgeName?.value),
    ...services,
    ...optional('mtu', mtu?.value),
  }
}

const ofBridge = ({gateway, dhcp, dns, nat}: ReadDefinition['fields']): Pick<NetworkSpec, 'gateway' | 'dhcp' | 'dns' | 'nat'> => ({
  ...optional('gateway', gateway?.value),
  dhcp: dhcp?.value ?? true,
  dns: dns?.value ?? true,
  nat: nat?.value ?? true,
})

/** Settings that only another driver has. */
const refuseByDriver = ({driver, gateway, dhcp, dns, nat, 'bridge-name': bridgeName}: ReadDefinition['fields'], report: Report): void => {
  if (driver.value === 'mesh' && bridgeName)
    report.error(bridgeName, 'a mesh has no bridge', 'write driver "bridge", or remove bridge-name')
  if (driver.value === 'bridge') return
  for (const [field, given] of Object.entries({gateway, dhcp, dns, nat})) {
    if (given && given.value !== false) report.error(given, `${field} needs a bridge of its own`, 'write driver "bridge"')
  }
}

const isHost = (range: Subnet, address: string): boolean => {
  const number = parseAddress(address)
  return number !== undefined && contains(range, number) && number !== range.first && number !== range.last
}

const hostsOf = (range: Subnet): string => `it can be ${formatAddress(range.first + 1)} to ${formatAddress(range.last - 1)}`

const refuseOverlap = (definitions: readonly ReadDefinition[], report: Report): void => {
  const ranges: {readonly range: Subnet; readonly name: string; readonly start: number}[] = []
  for (const {fields, argument} of definitions) {
    const {subnet} = fields
    const range = subnet && parseSubnet(subnet.value)
    if (!range || !argument) continue
    const other = ranges.find((one) => overlaps(one.range, range))
    if (other)
      report.error(
        subnet,
        `this subnet overlaps with that of network "${other.name}"`,
        `it is in line ${report.lineOf(other.start)}; choose another`,
      )
    else ranges.push({range, name: argument.value, start: subnet.start})
  }
}

/** How one VM is connected. */
export interface Connections {
  readonly network: NetworkConfig
  readonly attachments: readonly {readonly spec: NetworkAttachment; readonly place: Span}[]
}

/** Resolves the network nodes of a VM. One that has none joins the network "default", when there is one. */
export const buildConnections = (written: readonly ReadNetwork[], declared: DeclaredNetworks, {report}: Context, vm: Span): Connections => {
  // In a file without networks of its own there is one node, and what it says is meant as a type.
  const nodes = declared.size === 0 ? written.slice(0, 1) : written
  const [mode, ...more] = nodes.filter((node) => node.type !== 'named')
  for (const other of [...more, ...written.slice(nodes.length)]) {
    const first = declared.size === 0 ? written[0] : mode
    report.error(other, 'duplicate node "network"', `it was given in line ${report.lineOf(first?.start ?? 0)} already`)
  }
  const named = nodes.filter((node) => node.type === 'named')
  const [first] = named
  if (mode?.type === 'none' && first) report.error(first, 'network "none" stands alone', 'remove it, or the other networks')
  const implied = nodes.length === 0 ? declared.get('default') : undefined
  const attachments = named.flatMap((node) => {
    const found = declared.get(node.name.value)
    if (!found) reportUndeclared(node.name, declared, report)
    return found ? [{spec: attach(node, found.spec, report), place: node.name}] : []
  })
  for (const [index, {spec, place}] of attachments.entries()) {
    const twice = attachments.findIndex((one) => one.spec.network.id === spec.network.id)
    if (twice < index) report.error(place, `network "${spec.network.name}" is joined twice`, 'keep one of the two')
  }
  return {
    network: modeOf(mode, report),
    attachments: implied ? [{spec: {network: implied.spec}, place: vm}] : attachments,
  }
}

/**
 * What guests of VMs have to share in order to reach each other: networks, and bridges of the host. Undefined for a VM that is
 * meant to have none.
 */
export const meetingPlaces = ({network, attachments}: Connections): ReadonlySet<string> | undefined => {
  if (network.type === 'none') return undefined
  const own = network.type === 'tap' ? [`bridge ${network.bridge}`] : network.type === 'vnic' ? [`vnic ${network.name}`] : []
  const declared = attachments.map(
    ({
      spec: {
        network: {driver, bridgeName, id},
      },
    }) => (driver === 'external' && bridgeName !== undefined ? `bridge ${bridgeName}` : `network ${id}`),
  )
  return new Set([...own, ...declared])
}

const reportUndeclared = (name: Located<string>, declared: DeclaredNetworks, report: Report): void => {
  const message = declared.size === 0 ? `unknown network type: ${plain(name.value)}` : `there is no network named ${plain(name.value)}`
  const advice = `declare it at the top level: network ${quoted(name.value)}`
  report.error(name, message, nearest(name.value, [...declared.keys(), ...networkTypes]) ?? advice)
}

const attach = ({fields}: ReadAttachment, network: NetworkSpec, report: Report): NetworkAttachment => {
  const {ip, mac} = fields
  refuseGroup(mac, report)
  const range = parseSubnet(network.subnet ?? '')
  if (ip && !range)
    report.error(ip, `network "${network.name}" has no fixed subnet`, `add subnet "10.20.0.0/24" to network "${network.name}"`)
  if (ip && range) {
    const gateway = network.gateway ?? formatAddress(range.first + 1)
    if (!isHost(range, ip.value)) report.error(ip, `${ip.value} is no address of a host in ${network.subnet}`, hostsOf(range))
    else if (ip.value === gateway && network.driver !== 'external')
      report.error(ip, `${ip.value} is the gateway of network "${network.name}"`, 'choose another address')
  }
  return {network, ...optional('ip', ip?.value), ...optional('mac', mac?.value.toLowerCase())}
}

const refuseGroup = (mac: Located<string> | undefined, report: Report): void => {
  if (mac && (Number.parseInt(mac.value.slice(0, 2), 16) & 1) === 1)
    report.error(mac, `${mac.value} is the address of a group`, 'the second digit of the address of one interface is even: "52:54:00:…"')
}

const modeOf = (node: Exclude<ReadNetwork, ReadAttachment> | undefined, report: Report): NetworkConfig => {
  switch (node?.type) {
    case 'tap': {
      const {bridge, ip, mac} = node.fields
      refuseGroup(mac, report)
      return {type: 'tap', bridge: bridge.value, ...optional('ip', ip?.value), ...optional('mac', mac?.value.toLowerCase())}
    }
    case 'vnic':
      return {type: 'vnic', name: node.fields.name?.value ?? ''}
    case 'none':
      return {type: 'none'}
    default:
      return {type: 'user'}
  }
}

/** How many VMs fit: every address but those of the subnet, the broadcast and the gateway. */
const roomOf = (subnet: string): number => {
  const {first, last} = parseSubnet(subnet) ?? {first: 0, last: 0}
  return last - first - 2
}

interface Joined {
  readonly connections: Connections
  readonly instances: readonly string[]
}

/** What can only be seen over all VMs: addresses that are given twice, and more VMs than a subnet has room for. */
export const checkMembers = (services: readonly Joined[], declared: DeclaredNetworks, {report}: Context): void => {
  const seen = new Map<string, Span>()
  const once = (key: string, place: Span, what: string): void => {
    const first = seen.get(key)
    if (first) report.error(place, `${what} is given twice`, `it is in line ${report.lineOf(first.start)} already; choose another`)
    else seen.set(key, place)
  }
  const members = new Map<string, number>()
  for (const {connections, instances} of services) {
    for (const {spec, place} of connections.attachments) {
      members.set(spec.network.name, (members.get(spec.network.name) ?? 0) + instances.length)
      if (spec.ip !== undefined) once(`${spec.network.name} ${spec.ip}`, place, `the address ${spec.ip} of network "${spec.network.name}"`)
      if (spec.mac !== undefined) once(spec.mac, place, `the MAC address ${spec.mac}`)
    }
  }
  for (const [name, {spec, place}] of declared) {
    const count = members.get(name) ?? 0
    const room = roomOf(spec.subnet ?? '10.10.0.0/24')
    if (count > room && spec.driver !== 'external')
      report.error(place, `network "${name}" has ${count} VMs, and room for ${room}`, 'give it a larger subnet, such as "10.20.0.0/16"')
  }
}

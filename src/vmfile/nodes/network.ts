import {formatAddress, hostsOf, isHost, parseSubnet} from '../../model/ipv4.ts'
import type {NetworkAttachment, NetworkSpec} from '../../model/network.ts'
import type {NetworkConfig} from '../../model/vm.ts'
import {always, listOf} from '../grammar/change.ts'
import type {Located, Read} from '../grammar/shapes.ts'
import type {Report, Span} from '../kdl/report.ts'
import {nearest, plain, quoted} from '../kdl/wording.ts'
import {type Context, optional} from '../resolve/context.ts'
import {defaultNetwork, type DeclaredNetworks} from './network-definition.ts'
import {type networkNode, networkTypes} from './network-types.ts'

type ReadNetwork = Read<typeof networkNode>[number]

type ReadAttachment = Extract<ReadNetwork, {type: 'named'}>

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
  const implied = nodes.length === 0 ? declared.get(defaultNetwork) : undefined
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

const bridged =
  'a bridge of the host is joined by network "tap" bridge="br0"; network "default" at the top level connects VMs with each other'

/** What other tools call a way to be connected. */
const foreignTypes: Readonly<Record<string, string>> = {
  bridge: bridged,
  bridged,
  public: bridged,
  public_network: bridged,
  nat: 'that is network "user", which a VM has unless it says otherwise',
  host: 'a VM has a network of its own; port "8080:80" forwards a host port to it',
}

const reportUndeclared = (name: Located<string>, declared: DeclaredNetworks, report: Report): void => {
  const message = declared.size === 0 ? `unknown network type: ${plain(name.value)}` : `there is no network named ${plain(name.value)}`
  const foreign = Object.hasOwn(foreignTypes, name.value) ? foreignTypes[name.value] : undefined
  const advice = `declare it at the top level: network ${quoted(name.value)}`
  report.error(name, message, nearest(name.value, declared.keys()) ?? foreign ?? nearest(name.value, networkTypes) ?? advice)
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

const describeNetwork = (network: NetworkConfig): string => {
  if (network.type === 'tap') return `tap ${network.bridge}`
  return network.type === 'vnic' ? `vnic ${network.name}` : network.type
}

const describeAttachment = ({network, ip}: NetworkAttachment): string => (ip === undefined ? network.name : `${network.name} (${ip})`)

export const networkChange = always<'network'>(
  'restart',
  (applied, wanted) => `network ${describeNetwork(applied)} → ${describeNetwork(wanted)}`,
)

export const attachmentsChange = always<'networks'>('restart', listOf('networks', describeAttachment))

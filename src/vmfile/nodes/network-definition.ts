import {hostsOf, isHost, overlaps, parseSubnet, type Subnet} from '../../model/ipv4.ts'
import type {NetworkSpec} from '../../model/network.ts'
import {ipv4, subnet} from '../grammar/kinds-network.ts'
import {boolean, integer, label, word} from '../grammar/kinds.ts'
import {block, defaulted, field, type Read, required} from '../grammar/shapes.ts'
import {interfaceName} from '../grammar/words.ts'
import type {Report, Span} from '../kdl/report.ts'
import {plain} from '../kdl/wording.ts'
import {type Context, optional} from '../resolve/context.ts'
import {networkTypes} from './network-types.ts'

export const networkDefinitionNode = block(
  'A network between the VMs of the file.',
  {
    argument: required(
      label('network name', '"lan"'),
      'Name of the network. VMs without a network node join the one named "default", which those of a project have without this node.',
    ),
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
    gateway: field(ipv4, 'Address of the host on the bridge; the first of the subnet when absent.'),
    dhcp: field(boolean, 'Whether the host assigns addresses; a bridge does when absent.'),
    dns: field(boolean, 'Whether the host resolves names; a bridge does when absent.'),
    nat: field(boolean, 'Whether the VMs reach other networks through the host; by a bridge they do when absent.'),
    mtu: field(integer(576, 65_535, '1500'), 'Largest packet in bytes.'),
  },
)

/** The network that VMs without a network node join. */
export const defaultNetwork = 'default'

type ReadDefinition = Read<typeof networkDefinitionNode>[number]

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

/** The network `default` as it is when nobody declares it: the same as an empty node of that name. */
export const implyNetwork = (scope: string, place: Span): DeclaredNetworks => {
  const spec: NetworkSpec = {id: `${scope}.${defaultNetwork}`, name: defaultNetwork, driver: 'mesh', dhcp: false, dns: false, nat: false}
  return new Map([[defaultNetwork, {spec, place}]])
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

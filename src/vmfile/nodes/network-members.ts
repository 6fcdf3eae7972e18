import {parseSubnet} from '../../model/ipv4.ts'
import type {Span} from '../kdl/report.ts'
import type {Context} from '../resolve/context.ts'
import type {DeclaredNetworks} from './network-definition.ts'
import type {Connections} from './network.ts'

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

import type {HostSubnet} from '../host/routes.ts'
import {VmctlError} from '../model/errors.ts'
import {formatSubnet, overlaps, parseSubnet, type Subnet, subnetsWithin} from '../model/ipv4.ts'
import type {NetworkDriver, NetworkSpec} from '../model/network.ts'

/** Where subnets are chosen from, each a /24. */
const pools: Readonly<Record<NetworkDriver, string | undefined>> = {mesh: '10.10.0.0/16', bridge: '172.16.0.0/12', external: undefined}

/** QEMU's user network, which every VM has for its management (qemu(1), "-netdev user"). */
const userNetwork = '10.0.2.0/24'

export interface Neighbours {
  /** Subnets of the other networks of this state directory. */
  readonly networks: readonly {readonly id: string; readonly driver: NetworkDriver; readonly subnet: string}[]
  /** What was ever chosen, by id of the network. */
  readonly remembered: Readonly<Record<string, string>>
  /** Subnets of the host, without those of the network's own bridge. */
  readonly host: readonly HostSubnet[]
}

const parse = (text: string): Subnet => {
  const subnet = parseSubnet(text)
  if (!subnet) throw new VmctlError('vmctl::usage::invalid', `"${text}" is not a subnet; one is written as 10.20.0.0/24.`)
  return subnet
}

/**
 * The subnet of a network: the one that was asked for, else the one that it had, else the first free one. Pure.
 * @returns undefined for an existing bridge, whose addresses are somebody else's
 * @throws VmctlError `vmctl::network::subnet_taken`
 */
export const chooseSubnet = (spec: NetworkSpec, neighbours: Neighbours): string | undefined => {
  if (spec.subnet !== undefined) return checkSubnet(spec, spec.subnet, neighbours)
  const pool = pools[spec.driver]
  if (pool === undefined) return undefined
  const used = [parse(userNetwork), ...neighbours.networks.map(({subnet}) => parse(subnet)), ...neighbours.host.map(({subnet}) => subnet)]
  const others = Object.entries(neighbours.remembered).flatMap(([id, text]) => (id === spec.id ? [] : (parseSubnet(text) ?? [])))
  const isFree = (subnet: Subnet, taken: readonly Subnet[]): boolean => !taken.some((other) => overlaps(subnet, other))
  const before = parseSubnet(neighbours.remembered[spec.id] ?? '')
  if (before && overlaps(before, parse(pool)) && isFree(before, used)) return formatSubnet(before)
  const candidates = [...subnetsWithin(parse(pool), 24)]
  const chosen = candidates.find((subnet) => isFree(subnet, [...used, ...others])) ?? candidates.find((subnet) => isFree(subnet, used))
  if (chosen) return formatSubnet(chosen)
  throw new VmctlError('vmctl::network::subnet_taken', `No /24 of ${pool} is free for the network ${spec.name}.`, {
    help: 'Remove networks that are not needed (`vmctl network ls`), or say a `subnet` in the VMFile.',
  })
}

const checkSubnet = (spec: NetworkSpec, text: string, {networks, host}: Neighbours): string => {
  const subnet = parse(text)
  const refuse = (whose: string): never => {
    throw new VmctlError('vmctl::network::subnet_taken', `The subnet ${text} of the network ${spec.name} overlaps ${whose}.`, {
      details: {network: spec.id, subnet: text},
    })
  }
  if (overlaps(subnet, parse(userNetwork))) refuse(`${userNetwork}, by which vmctl reaches every VM`)
  // Meshes are worlds of their own; only what the host itself has a route to can clash.
  if (spec.driver === 'bridge') {
    const other = networks.find((network) => network.driver === 'bridge' && overlaps(subnet, parse(network.subnet)))
    if (other) refuse(`that of the network ${other.id} (${other.subnet})`)
    const route = host.find((candidate) => overlaps(subnet, candidate.subnet))
    if (route) refuse(`${formatSubnet(route.subnet)} on ${route.interface} of the host`)
  }
  return formatSubnet(subnet)
}

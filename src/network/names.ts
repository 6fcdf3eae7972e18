import type {Member, NetworkRecord} from './record.ts'

/** An address and its names, the canonical one first (hosts(5)). */
interface HostEntry {
  readonly ip: string
  readonly names: readonly string[]
}

/**
 * The names of a network's members: each has its host name and its name in the VMFile (`web-0`), and the first replica also that of
 * the service (`web`), since a hosts file gives one address for a name. A VM that is alone in its service answers to `web-0` too.
 * A name of a VM's own is never given to another. Pure.
 */
const memberNames = (members: readonly Member[]): ReadonlyMap<Member, readonly string[]> => {
  const own = (member: Member): string[] => [...new Set([member.hostname, instanceName(member)])]
  const taken = new Set<string>()
  const names = new Map<Member, string[]>()
  const give = (member: Member, name: string): void => {
    if (taken.has(name)) return
    taken.add(name)
    names.set(member, [...(names.get(member) ?? []), name])
  }
  const inOrder = members.toSorted((left, right) => (left.replica ?? 0) - (right.replica ?? 0))
  for (const member of inOrder) for (const name of own(member)) give(member, name)
  for (const member of inOrder) give(member, member.replica === undefined ? `${member.service}-0` : member.service)
  return names
}

const instanceName = ({service, replica}: Member): string => (replica === undefined ? service : `${service}-${replica}`)

/**
 * What /etc/hosts of a VM is to hold: everybody that it shares a network with, itself included. A name that two networks would give
 * stands for the address on the first of them. Pure.
 * @param networks those of the VM, in the order in which it names them
 */
export const hostEntries = (networks: readonly NetworkRecord[]): HostEntry[] => {
  const known = new Set<string>()
  return networks.flatMap((network) => {
    const names = memberNames(Object.values(network.members))
    const entries = Object.values(network.members).flatMap((member) => {
      const fresh = (names.get(member) ?? []).filter((name) => !known.has(name))
      return member.ip === undefined || fresh.length === 0 ? [] : [{ip: member.ip, names: fresh}]
    })
    for (const entry of entries) for (const name of entry.names) known.add(name)
    return entries
  })
}

/** Addresses by name for a DNS server, which gives all addresses of a service. Pure. */
export const dnsEntries = (network: NetworkRecord): HostEntry[] => {
  const names = memberNames(Object.values(network.members))
  return Object.values(network.members).flatMap((member) =>
    member.ip === undefined ? [] : [{ip: member.ip, names: [...new Set([...(names.get(member) ?? []), member.service])]}],
  )
}

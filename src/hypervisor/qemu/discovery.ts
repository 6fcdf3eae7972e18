import {glob, readFile} from 'node:fs/promises'
import {isIPv4} from 'node:net'

import {run} from '../../host/process.ts'
import {VmctlError} from '../../model/errors.ts'

/** Where DHCP servers of the host usually keep leases in dnsmasq's format. */
const leasePatterns = [
  '/var/lib/misc/dnsmasq*.leases',
  '/var/lib/dnsmasq/*.leases',
  '/var/lib/libvirt/dnsmasq/*.leases',
  '/run/dnsmasq/*.leases',
]

/**
 * The IPv4 address of a MAC address among neighbours, as `ip -4 -json neigh show` prints them; a usable entry is preferred to a stale one.
 * Only an exact match counts.
 */
export const addressFromNeighbours = (json: string, macAddress: string): string | undefined => {
  const entries = parseArray(json)
  const rank = ['REACHABLE', 'DELAY', 'PROBE', 'PERMANENT', 'STALE']
  const candidates = entries
    .map((entry): Readonly<Record<string, unknown>> => (typeof entry === 'object' ? {...entry} : {}))
    .filter(
      ({dst, lladdr}) =>
        typeof dst === 'string' && isIPv4(dst) && typeof lladdr === 'string' && lladdr.toLowerCase() === macAddress.toLowerCase(),
    )
    .map(({dst, state}) => ({address: String(dst), rank: rank.indexOf(String(Array.isArray(state) ? state[0] : undefined))}))
    .filter((entry) => entry.rank >= 0)
    .toSorted((left, right) => left.rank - right.rank)
  return candidates[0]?.address
}

/** What a damaged table says is as good as nothing: the leases are asked next. */
const parseArray = (json: string): readonly unknown[] => {
  try {
    const value: unknown = JSON.parse(json || '[]')
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

/** The IPv4 address of a MAC address in a dnsmasq lease file (`expiry mac address name client-id`); the lease that ends last wins. */
export const addressFromLeases = (text: string, macAddress: string): string | undefined => {
  let best: {expiry: number; address: string} | undefined
  for (const line of text.split('\n')) {
    const [expiry, mac, address] = line.split(' ')
    if (mac?.toLowerCase() !== macAddress.toLowerCase() || !address || !isIPv4(address)) continue
    // An expiry of 0 is a lease for ever.
    const until = Number(expiry) === 0 ? Number.POSITIVE_INFINITY : Number(expiry)
    if (!best || until >= best.expiry) best = {expiry: until, address}
  }
  return best?.address
}

/** Whose address is looked for, and where else to look. */
export interface Wanted {
  readonly bridge: string
  readonly macAddress: string
  /** Lease files besides the usual ones. */
  readonly leaseFiles: readonly string[]
}

/**
 * Finds the address of a guest on a bridge: the neighbour table first, then the leases of DHCP servers on the host.
 * @throws VmctlError `vmctl::network::ip_discovery_timeout` when none of them knows the MAC address (yet)
 */
export const discoverAddress = async ({bridge, macAddress, leaseFiles}: Wanted, signal: AbortSignal): Promise<string> => {
  const neighbours = await run('ip', ['-4', '-json', 'neigh', 'show', 'dev', bridge], {signal, timeoutMs: 5000})
  const neighbour = neighbours.exitCode === 0 ? addressFromNeighbours(neighbours.stdout, macAddress) : undefined
  if (neighbour) return neighbour
  for (const path of [...leaseFiles, ...(await Array.fromAsync(glob(leasePatterns)))]) {
    const leased = addressFromLeases(await readFile(path, 'utf8').catch(() => ''), macAddress)
    if (leased) return leased
  }
  throw new VmctlError('vmctl::network::ip_discovery_timeout', `No address is known for ${macAddress} on the bridge ${bridge}.`)
}

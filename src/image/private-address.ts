import {lookup as resolve} from 'node:dns'
import {BlockList, isIP, type LookupFunction} from 'node:net'

/*
 * Addresses that mean another place for whoever sits behind them: loopback, private and shared networks, link-local (where
 * clouds tell a computer its credentials), and what IPv6 wraps around them. RFC 6890; RFC 4193; RFC 6052.
 */
const ranges = new BlockList()
const subnets = '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.168.0.0/16 198.18.0.0/15'
for (const subnet of subnets.split(' ')) {
  const [address = '', bits = ''] = subnet.split('/')
  ranges.addSubnet(address, Number(bits), 'ipv4')
  ranges.addSubnet(`64:ff9b::${address}`, 96 + Number(bits), 'ipv6')
}
for (const [address, bits] of [
  ['::', 128],
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
] as const) {
  ranges.addSubnet(address, bits, 'ipv6')
}

/** Whether an IP address is private in the sense above. An IPv4 address in IPv6 form counts as what it is. */
export const isPrivateAddress = (address: string): boolean => {
  const version = isIP(address)
  return version !== 0 && ranges.check(address, version === 6 ? 'ipv6' : 'ipv4')
}

/** The host of a URL without the brackets of IPv6. */
const hostOf = ({hostname}: URL): string => hostname.replace(/^\[(.*)\]$/, '$1')

/** Keeps a download that began on the internet from being led into the network of the host. */
export interface AddressGuard {
  /** For every connection: looks names up as usual, but gives no private address to a host that is guarded. */
  readonly lookup: LookupFunction
  /** Whether the host of a URL that was connected to is private, by its address or by what its name led to. */
  isPrivate(url: URL): boolean
  /** From now on the host of this URL must not be private. Returns whether it is so by its very address. */
  guard(url: URL): boolean
}

export const guardAddresses = (): AddressGuard => {
  const privateNames = new Set<string>()
  const guarded = new Set<string>()
  return {
    lookup(hostname, options, callback) {
      resolve(hostname, {...options, all: true}, (error, found) => {
        if (error) {
          callback(error, [])
          return
        }
        if (found.some(({address}) => isPrivateAddress(address))) privateNames.add(hostname)
        const allowed = guarded.has(hostname) ? found.filter(({address}) => !isPrivateAddress(address)) : found
        const [first] = allowed
        if (!first) callback(new PrivateAddress(hostname), [])
        else if (options.all) callback(null, allowed)
        else callback(null, first.address, first.family)
      })
    },
    isPrivate: (url) => isPrivateAddress(hostOf(url)) || privateNames.has(hostOf(url)),
    guard(url) {
      guarded.add(hostOf(url))
      return isPrivateAddress(hostOf(url))
    },
  }
}

/** A name that leads to a private address although it must not. */
export class PrivateAddress extends Error {
  constructor(hostname: string) {
    super(`${hostname} is in the network of the host`)
  }
}

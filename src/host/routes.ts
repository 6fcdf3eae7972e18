import {readFile} from 'node:fs/promises'
import {networkInterfaces} from 'node:os'

import {parseSubnet, type Subnet} from '../model/ipv4.ts'

export interface HostSubnet {
  readonly interface: string
  readonly subnet: Subnet
}

/** The IPv4 subnets that the host is in or has a route to, the default route not counted (proc(5), /proc/net/route). */
export const hostSubnets = async (): Promise<HostSubnet[]> => {
  const table = await readFile('/proc/net/route', 'utf8').catch(() => '')
  const routes = table.split('\n').slice(1).flatMap(parseRoute)
  const own = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.flatMap(({cidr, family}) => {
      const subnet = family === 'IPv4' && cidr !== null ? parseSubnet(cidr) : undefined
      return subnet ? [{interface: name, subnet}] : []
    }),
  )
  return [...routes, ...own]
}

/** Numbers in the table are hexadecimal in the byte order of the machine, little-endian on all that QEMU's user would have. */
const parseRoute = (line: string): HostSubnet[] => {
  const [name, destination, , , , , , mask] = line.split(/\s+/)
  if (name === undefined || destination === undefined || mask === undefined) return []
  const prefix = Buffer.from(mask, 'hex').reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)
  const subnet = parseSubnet(`${[...Buffer.from(destination, 'hex')].toReversed().join('.')}/${prefix}`)
  return prefix === 0 || !subnet ? [] : [{interface: name, subnet}]
}

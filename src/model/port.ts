export interface PortForward {
  readonly protocol: 'tcp' | 'udp'
  /** Address of the host that is listened on. */
  readonly bind: string
  /** Host port; a free one is chosen, and kept, when absent. */
  readonly host?: number
  readonly guest: number
}

/** A forward whose host port is known. */
export interface ForwardedPort extends PortForward {
  readonly host: number
}

/** How SSH of a guest is reached behind QEMU's user network. */
export const sshForward = {protocol: 'tcp', bind: '127.0.0.1', guest: 22} as const satisfies PortForward

/** An address as it stands before a port: one of IPv6 in brackets (RFC 3986, 3.2.2). */
export const inBrackets = (address: string): string => (address.includes(':') ? `[${address}]` : address)

const isWild = (address: string): boolean => address === '::' || address === '0.0.0.0'

/** Whether two sockets cannot listen on one port. `::` takes the addresses of IPv4 as well (ipv6(7), IPV6_V6ONLY). */
const isSameAddress = (one: string, other: string): boolean => {
  if (one === other || one === '::' || other === '::') return true
  return one.includes(':') === other.includes(':') && (isWild(one) || isWild(other))
}

type Endpoint = Pick<PortForward, 'protocol' | 'bind' | 'host'>

/** Whether the kernel does not let two forwards stand side by side. */
export const clash = (one: Endpoint, other: Endpoint): boolean =>
  one.protocol === other.protocol && one.host === other.host && isSameAddress(one.bind, other.bind)

/** An IPv4 subnet as numbers (RFC 4632). */
export interface Subnet {
  /** The network address as an unsigned 32-bit number. */
  readonly base: number
  /** Length of the prefix. */
  readonly bits: number
}

/** An IPv4 address in dotted form as an unsigned 32-bit number; undefined when it is none. */
export const parseIpv4 = (text: string): number | undefined => {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return undefined
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0)
}

export const formatIpv4 = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')

/** `10.20.0.7/24` as the subnet that it lies in; undefined when it is not in CIDR form. */
export const parseSubnet = (text: string): Subnet | undefined => {
  const [, dotted, digits] = /^([\d.]+)\/(\d{1,2})$/.exec(text) ?? []
  const address = parseIpv4(dotted ?? '')
  const bits = Number(digits)
  if (address === undefined || bits > 32) return undefined
  const size = 2 ** (32 - bits)
  return {base: address - (address % size), bits}
}

export const formatSubnet = ({base, bits}: Subnet): string => `${formatIpv4(base)}/${bits}`

/** The last address, which is that of the broadcast. */
export const lastOf = ({base, bits}: Subnet): number => base + 2 ** (32 - bits) - 1

export const contains = (subnet: Subnet, address: number): boolean => address >= subnet.base && address <= lastOf(subnet)

export const overlap = (one: Subnet, other: Subnet): boolean => one.base <= lastOf(other) && other.base <= lastOf(one)

/** How many VMs fit: every address but those of the subnet, the broadcast and the gateway. */
export const capacityOf = ({bits}: Subnet): number => 2 ** (32 - bits) - 3

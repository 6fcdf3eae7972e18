/** IPv4 addresses as unsigned 32-bit numbers, and subnets in CIDR form (RFC 4632). */
export interface Subnet {
  /** The network address. */
  readonly first: number
  /** The broadcast address. */
  readonly last: number
  readonly prefix: number
}

/** Undefined for anything but four decimal numbers up to 255 without leading zeros. */
export const parseAddress = (text: string): number | undefined => {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return undefined
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0)
}

export const formatAddress = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')

const subnetOf = (address: number, prefix: number): Subnet => {
  const size = 2 ** (32 - prefix)
  const first = address - (address % size)
  return {first, last: first + size - 1, prefix}
}

/** `10.10.0.7/24` is the subnet 10.10.0.0/24. Undefined for anything that is not in CIDR form. */
export const parseSubnet = (text: string): Subnet | undefined => {
  const [, address, prefix] = /^([\d.]+)\/(0|[1-9]\d?)$/.exec(text) ?? []
  const number = parseAddress(address ?? '')
  return number === undefined || Number(prefix) > 32 ? undefined : subnetOf(number, Number(prefix))
}

export const formatSubnet = ({first, prefix}: Subnet): string => `${formatAddress(first)}/${prefix}`

export const overlaps = (left: Subnet, right: Subnet): boolean => left.first <= right.last && right.first <= left.last

export const contains = (subnet: Subnet, address: number): boolean => address >= subnet.first && address <= subnet.last

/** The subnets of a prefix length within a larger one, in order. */
export const subnetsWithin = function* (pool: Subnet, prefix: number): Generator<Subnet> {
  for (let first = pool.first; first < pool.last; first += 2 ** (32 - prefix)) yield subnetOf(first, prefix)
}

export const isHost = (range: Subnet, address: string): boolean => {
  const number = parseAddress(address)
  return number !== undefined && contains(range, number) && number !== range.first && number !== range.last
}

export const hostsOf = (range: Subnet): string => `it can be ${formatAddress(range.first + 1)} to ${formatAddress(range.last - 1)}`

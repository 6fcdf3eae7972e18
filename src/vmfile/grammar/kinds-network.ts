import {isIP} from 'node:net'

import {formatSubnet, parseSubnet} from '../../model/ipv4.ts'
import {expected, text} from './kinds.ts'
import type {Kind} from './shapes.ts'
import {plain, quoted} from '../kdl/wording.ts'

const macPattern = /^[\da-f]{2}(?::[\da-f]{2}){5}$/

/** A MAC address of one interface, in lower case. */
export const macAddress = text('MAC address', {
  rule: 'six pairs of hexadecimal digits joined by colons',
  isValid: (value) => macPattern.test(value.toLowerCase()),
  example: '"52:54:00:12:34:56"',
})

export const ipv4 = text('IPv4 address', {
  rule: 'four numbers from 0 to 255, joined by dots',
  isValid: (value) => isIP(value) === 4,
  example: '"10.20.0.5"',
})

export const bindAddress = text('address of the host', {
  rule: 'an IPv4 or IPv6 address',
  isValid: (value) => isIP(value) !== 0,
  example: '"127.0.0.1"',
})

/** Domain, bus, device and function, in full and in lower case. */
export const pciAddress: Kind<string> = {
  type: 'PCI address',
  rule: 'bus, device and function, as lspci prints them',
  example: '"01:00.0"',
  read(value, fail) {
    const rule = 'write bus, device and function, as lspci prints them: "01:00.0" or "0000:01:00.0"'
    if (typeof value !== 'string') return expected('a PCI address', value, fail, rule)
    const found = /^(?:([\da-f]{4}):)?([\da-f]{2}):([01][\da-f])\.([0-7])$/i.exec(value)
    return found
      ? `${found[1] ?? '0000'}:${found[2]}:${found[3]}.${found[4]}`.toLowerCase()
      : fail(`${quoted(value)} is not a PCI address`, rule)
  },
}

/** What a port node says in one text. */
export interface PortText {
  readonly guest: number
  readonly host?: number
  readonly bind?: string
  readonly protocol?: 'tcp' | 'udp'
}

const portForms = 'write "8080:80", "127.0.0.1:8080:80", "5353:53/udp", or the port of the guest alone'

const portNumber = (digits: string | undefined): number | undefined => {
  const port = Number(digits)
  return port >= 1 && port <= 65_535 ? port : undefined
}

/** `[BIND:]HOST:GUEST[/PROTOCOL]`, or the port of the guest alone. An IPv6 address stands in brackets. */
export const portText: Kind<PortText> = {
  type: 'port',
  rule: '"HOST:GUEST", "BIND:HOST:GUEST", or the port of the guest alone; "/udp" or "/tcp" may follow',
  example: '"8080:80"',
  read(value, fail) {
    if (typeof value === 'number') {
      const guest = Number.isInteger(value) ? portNumber(String(value)) : undefined
      return guest === undefined ? fail(`${value} is not a port`, 'ports are 1 to 65535') : {guest}
    }
    if (typeof value !== 'string') return expected('a port', value, fail, portForms)
    const found = /^(?:(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,6}):)?(\d{1,6})(?:\/(.+))?$/.exec(value)
    if (!found?.[4]) return fail(`${quoted(value)} is not a port`, portForms)
    const [, inBrackets, plainBind, hostDigits, guestDigits, protocol] = found
    const bind = inBrackets ?? plainBind
    if (bind !== undefined && isIP(bind) === 0) return fail(`${quoted(bind)} is not an address of the host`, portForms)
    if (protocol !== undefined && protocol !== 'tcp' && protocol !== 'udp')
      return fail(`unknown protocol: ${plain(protocol)}`, 'it can be "tcp" or "udp"')
    const guest = portNumber(guestDigits)
    const host = portNumber(hostDigits)
    if (guest === undefined || (hostDigits !== undefined && host === undefined))
      return fail(`${quoted(value)} is not a port`, 'ports are 1 to 65535')
    return {guest, ...(host !== undefined && {host}), ...(bind !== undefined && {bind}), ...(protocol !== undefined && {protocol})}
  },
}

/** A subnet in CIDR form, or `auto`. */
export const subnet: Kind<string> = {
  type: 'subnet',
  rule: 'IPv4 in CIDR form with 8 to 29 bits, or "auto"',
  example: '"10.20.0.0/24"',
  read(value, fail) {
    const rule = 'write a subnet such as "10.20.0.0/24", or "auto"'
    if (typeof value !== 'string') return expected('a subnet', value, fail, rule)
    if (value === 'auto') return value
    const parsed = parseSubnet(value)
    if (!parsed) return fail(`${quoted(value)} is not a subnet`, rule)
    if (parsed.prefix < 8 || parsed.prefix > 29)
      return fail(`a subnet of ${parsed.prefix} bits cannot be used`, 'it has 8 to 29 bits, such as "10.20.0.0/24"')
    const own = formatSubnet(parsed)
    return own === value ? value : fail(`${quoted(value)} is an address in a subnet`, `write the subnet: "${own}"`)
  },
}

import {group, type KdlNode, node, withProps} from '../kdl.ts'
import type {Names} from './names.ts'
import {type Fields, fieldsOf, leftOver, listOf, readerOf, type Reader, simple, take, textOf} from './reader.ts'
import type {Warnings} from '../warnings.ts'

/** The networks of a qemu-compose.yaml. */
export const networkNodes = (declared: Fields, names: Names, warnings: Warnings): readonly KdlNode[] =>
  Object.entries(declared).map(([name, settings]) => {
    const reader = readerOf(`network ${name}`, settings, warnings)
    const driver = textOf(take(reader, 'driver')) ?? 'bridge'
    const isKnown = ['bridge', 'mesh', 'external'].includes(driver)
    if (!isKnown) warnings.about(reader.place, `the driver ${driver} becomes bridge: vmctl has mesh, bridge and external`)
    const subnet = simple(reader, 'subnet')
    leftOver(reader)
    return group('network', [names.get(name) ?? name], [node('driver', isKnown ? driver : 'bridge'), subnet])
  })

/** The networks that a VM joins: a list of names, or names with settings. */
export const joinedNodes = (reader: Reader, names: Names, fixed: ReadonlySet<string>): readonly KdlNode[] => {
  const value = take(reader, 'networks')
  const pairs =
    Array.isArray(value) || typeof value === 'string'
      ? listOf(value).map((one) => [textOf(one) ?? '', undefined] as const)
      : Object.entries(fieldsOf(value))
  return pairs.flatMap(([given, settings]) => {
    const name = names.get(given)
    if (name === undefined) {
      reader.warnings.about(
        reader.place,
        `the network ${given} is left out: it is not declared; write \`network "${given}"\` at the top level`,
      )
      return []
    }
    const fields = readerOf(`${reader.place}: network ${given}`, settings, reader.warnings)
    const ip = textOf(take(fields, 'ipv4_address')) ?? textOf(take(fields, 'ip'))
    const mac = textOf(take(fields, 'mac_address')) ?? textOf(take(fields, 'mac'))
    leftOver(fields)
    const isFixed = fixed.has(given)
    if (ip !== undefined && !isFixed)
      fields.warnings.about(fields.place, `the address ${ip} is left out: the network has no subnet of its own`)
    return [withProps(node('network', name), {ip: isFixed ? ip : undefined, mac})]
  })
}

const portForm = /^(?:(?:\[[\da-f:]+\]|\d{1,3}(?:\.\d{1,3}){3}):)?(?:\d{1,5}:)?\d{1,5}(?:\/(?:tcp|udp))?$/i

/** `"8080:80"` and its like, or fields: those of qemu-compose, and the long form of Compose. */
export const portNode = (given: unknown, reader: Reader): KdlNode | undefined => {
  const isFields = typeof given === 'object' && given !== null
  if (!isFields) {
    const text = textOf(given) ?? ''
    if (portForm.test(text)) return node('port', typeof given === 'number' ? given : text.toLowerCase())
    reader.warnings.about(reader.place, `the port ${JSON.stringify(text)} is left out: write "HOST:GUEST", one for each`)
    return undefined
  }
  const fields = readerOf(`${reader.place}: a port`, given, reader.warnings)
  const first = (...keys: readonly string[]): string | undefined =>
    keys.map((key) => textOf(take(fields, key))).find((text) => text !== undefined)
  const guest = first('guest', 'guest_port', 'target')
  const host = first('host', 'host_port', 'published')
  const bind = first('host_ip', 'bind')
  const protocol = first('protocol')
  leftOver(fields)
  const numbers = [guest, host].every((text) => text === undefined || /^\d{1,5}$/.test(text))
  if (guest === undefined || !numbers) {
    fields.warnings.about(fields.place, 'it is left out: it needs the number of one port of the guest')
    return undefined
  }
  return withProps(node('port'), {guest: Number(guest), host: host === undefined ? undefined : Number(host), protocol, bind})
}

import type {PortForward, ForwardedPort} from '../../model/port.ts'
import {always, listOf} from '../grammar/change.ts'
import {bindAddress, portText, type PortText} from '../grammar/kinds-network.ts'
import {integer, word} from '../grammar/kinds.ts'
import {block, field, type Read} from '../grammar/shapes.ts'
import type {Span} from '../kdl/report.ts'
import {type Context, optional} from '../resolve/context.ts'
import {clash, sshForward, inBrackets} from '../../model/port.ts'

export const portNode = block(
  'A guest port that a host port is forwarded to.',
  {argument: field(portText, 'Both ports in one text.'), repeatable: true},
  {
    guest: field(integer(1, 65_535, '80'), 'Port of the guest.'),
    host: field(integer(1, 65_535, '8080'), 'Host port, that of the first replica; a free one is chosen, and kept, when absent.'),
    protocol: field(word('protocol', 'tcp', 'udp'), 'Protocol; "tcp" when absent.'),
    bind: field(bindAddress, 'Address of the host that is listened on; "127.0.0.1" when absent.'),
  },
)

type ReadPort = Read<typeof portNode>[number]

/** A port of the first replica, with its place in the file. */
export interface DeclaredPort {
  readonly spec: PortForward
  readonly place: Span
}

/** Reads the port nodes of a VM; what is wrong with one of them alone is reported. */
export const buildPorts = (ports: readonly ReadPort[], replicas: number, {report}: Context): readonly DeclaredPort[] =>
  ports.flatMap((port) => {
    const place = port.argument ?? port.fields.host ?? port.fields.guest ?? port
    refuseTwice(port, report)
    const {guest, host, protocol = 'tcp', bind = '127.0.0.1'} = {...values(port.fields), ...port.argument?.value}
    if (guest === undefined) {
      if (!port.given.has('argument') && !port.given.has('guest'))
        report.error(port, 'port needs a port of the guest', 'write port "8080:80", or port guest=80')
      return []
    }
    if (host !== undefined && host + replicas - 1 > 65_535) {
      report.error(place, `replica ${replicas - 1} has no port left`, `replica i listens on ${host}+i; the last port is 65535`)
    }
    return [{spec: {protocol, bind, ...(host !== undefined && {host}), guest}, place}]
  })

const values = ({guest, host, protocol, bind}: ReadPort['fields']): Partial<PortText> => ({
  ...optional('guest', guest?.value),
  ...optional('host', host?.value),
  ...optional('protocol', protocol?.value),
  ...optional('bind', bind?.value),
})

const refuseTwice = ({argument, fields}: ReadPort, report: Context['report']): void => {
  for (const name of ['guest', 'host', 'protocol', 'bind'] as const) {
    const field = fields[name]
    if (field && argument?.value[name] !== undefined)
      report.error(field, `${name} is given twice`, 'it stands in the text before already; keep one of the two')
  }
}

/** The ports of one replica. */
export const portsOf = (ports: readonly DeclaredPort[], replica: number): readonly PortForward[] =>
  ports.map(({spec}) => (spec.host === undefined ? spec : {...spec, host: spec.host + replica}))

interface Listening {
  readonly instances: readonly string[]
  readonly ports: readonly DeclaredPort[]
  /** The fixed port of SSH, which listens on the loopback address. */
  readonly ssh: {readonly port: number; readonly place: Span} | undefined
}

/** Reports host ports that are wanted twice, by whatever replica. */
export const refuseClashes = (services: readonly Listening[], {report}: Context): void => {
  /** By port, so that many of them are no work: who listens there. */
  const taken = new Map<number, {readonly forward: ForwardedPort; readonly vm: string; readonly start: number}[]>()
  const claim = (forward: ForwardedPort, vm: string, place: Span): void => {
    const {host, protocol} = forward
    const others = taken.get(host) ?? []
    const other = others.find((one) => clash(one.forward, forward))
    if (other) {
      const who = other.vm === vm ? 'the same VM' : `VM "${other.vm}"`
      report.error(
        place,
        `host port ${host}/${protocol} is taken by ${who}`,
        `it is in line ${report.lineOf(other.start)}; choose another port`,
      )
    } else {
      taken.set(host, [...others, {forward, vm, start: place.start}])
    }
  }
  for (const {instances, ports, ssh} of services) {
    for (const [replica, vm] of instances.entries()) {
      if (ssh && instances.length === 1) claim({...sshForward, host: ssh.port}, vm, ssh.place)
      const fixed = ports.flatMap(({spec, place}) => (spec.host === undefined ? [] : [{...spec, host: spec.host + replica, place}]))
      for (const {place, ...forward} of fixed) claim(forward, vm, place)
    }
  }
}

const describePort = ({protocol, bind, host, guest}: PortForward): string => {
  const address = bind === '127.0.0.1' ? '' : `${inBrackets(bind)}:`
  return `${address}${host === undefined ? '' : `${host}:`}${guest}${protocol === 'tcp' ? '' : `/${protocol}`}`
}

export const portsChange = always<'ports'>('now', listOf('port', describePort))

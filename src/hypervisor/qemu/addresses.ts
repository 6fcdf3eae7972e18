import {createHash, randomBytes} from 'node:crypto'

import {portHolder} from '../../host/port-holder.ts'
import {tryEndpoint, tryPort} from '../../host/sockets.ts'
import {VmctlError} from '../../model/errors.ts'
import type {ForwardedPort, PortForward} from '../../model/port.ts'
import {clash} from '../../model/port.ts'
import {describeEndpoint, portTaken} from './forwards.ts'

const firstPort = 10_022
const portCount = 101

/** Below the range from which the kernel takes ports for outgoing connections, so that a port that was chosen stays free. */
const firstFreePort = 20_000
const freePortCount = 10_000

const startOf = (text: string, count: number): number => createHash('sha256').update(text).digest().readUInt32BE(0) % count

/** The vmctl book's range 10022–10122, beginning at a port that depends on the VM's name only. */
export const preferredPorts = (name: string): number[] => {
  const start = startOf(name, portCount)
  return Array.from({length: portCount}, (_, index) => firstPort + ((start + index) % portCount))
}

/** A forward that is held elsewhere, with who holds it. */
export interface HeldPort extends Pick<ForwardedPort, 'protocol' | 'bind' | 'host'> {
  readonly vm: string
  /** Whether it is only kept for a VM that does not run: a fixed port may take it, that VM finds another. */
  readonly isAtRest: boolean
}

export interface PortChoice {
  /** Name of the VM. */
  readonly name: string
  /** What the VM had; a port that was chosen stays the same if it can. */
  readonly last: readonly ForwardedPort[]
  /** What other VMs have. */
  readonly held: readonly HeldPort[]
  /** Whether the ports are about to be bound; before that nothing needs to be free. */
  readonly isBinding: boolean
  /** What the VM itself holds just now. */
  readonly own?: readonly ForwardedPort[]
  /** Endpoints that could not be bound although they looked free. */
  readonly avoid?: readonly Pick<ForwardedPort, 'protocol' | 'bind' | 'host'>[]
}

/**
 * Gives each forward its host port. Those that the user has fixed come first, so that no chosen one is in their way.
 * The caller holds the lock that keeps others from choosing at the same time.
 * @throws VmctlError `vmctl::network::port_taken`, `vmctl::network::port_refused`, `vmctl::network::no_port`
 */
export const choosePorts = async (wanted: readonly PortForward[], choice: PortChoice): Promise<ForwardedPort[]> => {
  const chosen: ForwardedPort[] = []
  const taken: ForwardedPort[] = []
  for (const [index, port] of [...wanted.entries()].toSorted(([, left], [, right]) => Number(isFixed(right)) - Number(isFixed(left)))) {
    const one = isFixed(port) ? await requireFree(port, choice) : await findFree(port, {...choice, taken})
    taken.push(one)
    chosen[index] = one
  }
  return chosen
}

const isFixed = (port: PortForward): port is ForwardedPort => port.host !== undefined

const requireFree = async (port: ForwardedPort, {held, isBinding, own = []}: PortChoice): Promise<ForwardedPort> => {
  if (!isBinding || own.some((mine) => clash(mine, port))) return port
  const holder = held.find((other) => !other.isAtRest && clash(other, port))
  if (holder) throw portTaken(describeEndpoint(port), `the VM ${holder.vm}`)
  const reason = await tryEndpoint({...port, port: port.host})
  if (reason === undefined) return port
  if (reason === 'EADDRINUSE') throw portTaken(describeEndpoint(port), await portHolder(port.protocol, port.host))
  throw new VmctlError(
    'vmctl::network::port_refused',
    `The port ${describeEndpoint(port)} cannot be listened on: ${explain(reason, port)}.`,
  )
}

const explain = (reason: string, {bind}: ForwardedPort): string => {
  if (reason === 'EADDRNOTAVAIL') return `${bind} is no address of the host`
  return reason === 'EACCES' ? 'ports below 1024 need a privilege (sysctl net.ipv4.ip_unprivileged_port_start)' : reason
}

const findFree = async (port: PortForward, choice: PortChoice & {readonly taken: readonly ForwardedPort[]}): Promise<ForwardedPort> => {
  const {name, last, held, isBinding, own = [], avoid = [], taken} = choice
  const isFree = async (candidate: ForwardedPort): Promise<boolean> => {
    if ([...taken, ...held, ...avoid].some((other) => clash(other, candidate))) return false
    if (!isBinding || own.some((mine) => clash(mine, candidate))) return true
    return (await tryEndpoint({...candidate, port: candidate.host})) === undefined
  }
  for (const host of candidates(name, port, last)) {
    const candidate = {...port, host}
    if (await isFree(candidate)) return candidate
  }
  for (let attempt = 0; attempt < 50; attempt++) {
    const host = await tryPort(0)
    if (host !== undefined && (await isFree({...port, host}))) return {...port, host}
  }
  throw new VmctlError('vmctl::network::no_port', `No free local port was found for port ${port.guest} of ${name}.`)
}

/** The last one, else those of the book for SSH, else some that depend on the VM and the guest's port only. */
function* candidates(name: string, port: PortForward, last: readonly ForwardedPort[]): Generator<number> {
  const before = last.find(({protocol, bind, guest}) => protocol === port.protocol && bind === port.bind && guest === port.guest)
  if (before) yield before.host
  if (port.guest === 22 && port.bind === '127.0.0.1') {
    yield* preferredPorts(name)
    return
  }
  const start = startOf(`${name} ${port.protocol} ${port.guest}`, freePortCount)
  for (let index = 0; index < 100; index++) yield firstFreePort + ((start + index) % freePortCount)
}

/** A random MAC address with QEMU's prefix 52:54:00, which is unicast and locally administered, unlike any in `taken`. */
export const chooseMacAddress = (taken: ReadonlySet<string>): string => {
  for (;;) {
    const tail = [...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, '0'))
    const address = ['52', '54', '00', ...tail].join(':')
    if (!taken.has(address)) return address
  }
}

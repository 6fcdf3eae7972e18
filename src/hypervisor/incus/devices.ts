import {createHash} from 'node:crypto'

import {VmctlError} from '../../model/errors.ts'
import {type ForwardedPort, inBrackets} from '../../model/port.ts'
import type {Nic, Vm} from '../../model/vm.ts'
import {at} from './api/client.ts'
import {dictionary, shape} from './api/read.ts'
import {type Device, device, type Instance, macOf} from './instance.ts'
import {meshName} from './mesh.ts'
import {homeOf, type Server} from './server.ts'

/** The device that is the interface by which the server reaches an instance. */
export const mainNic = 'eth0'

/** What the project gives every instance. */
export interface Profile {
  /** Name of its root disk, and of its first interface. */
  readonly root: Device | undefined
  readonly nic: {readonly name: string; readonly device: Device} | undefined
}

const profile = shape<{readonly devices: Readonly<Record<string, Device>>}>({devices: dictionary(device)})

export const readProfile = async ({client}: Server, signal: AbortSignal): Promise<Profile> => {
  const {devices} = await client.get({path: at('profiles', 'default'), doing: 'look at the default profile', signal}, profile)
  const all = Object.entries(devices)
  const nic = all.find(([, {type}]) => type === 'nic')
  return {
    root: all.find(([, {type, path}]) => type === 'disk' && path === '/')?.[1],
    nic: nic && {name: nic[0], device: nic[1]},
  }
}

/** The devices of a new instance. */
export const devicesOf = (
  vm: Vm,
  given: {readonly profile: Profile; readonly ports: readonly ForwardedPort[]},
): Record<string, Device> => ({
  root: rootOf(vm, given.profile),
  ...nicsOf(vm, given.profile),
  // cloud-init of a VM reads its seed from a drive that Incus makes.
  ...(vm.spec.kind === undefined && vm.spec.cloudInit && {seed: {type: 'disk', source: 'cloud-init:config'}}),
  ...portDevices(given.ports),
})

const rootOf = (vm: Vm, {root}: Profile): Device => {
  const {pool = root?.['pool']} = homeOf(vm)
  if (pool === undefined) {
    throw new VmctlError('vmctl::backend::not_available', `The home ${homeOf(vm).name} has no storage pool in its default profile.`, {
      help: 'Name one: home "incus" { pool "NAME" }; `vmctl doctor --home` shows them.',
    })
  }
  const {diskBytes} = vm.spec
  return {type: 'disk', path: '/', pool, ...(diskBytes !== undefined && {size: `${diskBytes}B`})}
}

const nicsOf = (vm: Vm, {nic}: Profile): Record<string, Device> => {
  const meshes = Object.fromEntries((vm.attachments?.nics ?? []).map((one, index) => [`mesh${index}`, meshNic(one, index)]))
  const name = nic?.name ?? mainNic
  // A device of the profile is masked by one that is none.
  if (vm.spec.network.type === 'none') return nic ? {[name]: {type: 'none'}} : {}
  const {network} = homeOf(vm)
  const own = network === undefined ? nic?.device : {type: 'nic', network}
  if (!own) {
    throw new VmctlError('vmctl::backend::not_available', `The home ${homeOf(vm).name} has no network in its default profile.`, {
      help: 'Name one: home "incus" { network "NAME" }; `vmctl doctor --home` shows them.',
    })
  }
  return {[name]: {...own, name: mainNic, hwaddr: macOf(vm)}, ...meshes}
}

const meshNic = (nic: Nic, index: number): Device => ({
  type: 'nic',
  network: meshName(nic.network),
  name: `eth${index + 1}`,
  hwaddr: nic.mac,
})

const portPrefix = 'port-'

/** Published ports of a container: the server listens on its member, and connects inside of the container. */
const portDevices = (ports: readonly ForwardedPort[]): Record<string, Device> =>
  Object.fromEntries(
    ports.map(({protocol, bind, host, guest}) => [
      `${portPrefix}${protocol}-${host}-${guest}`,
      {type: 'proxy', listen: `${protocol}:${inBrackets(bind)}:${host}`, connect: `${protocol}:127.0.0.1:${guest}`},
    ]),
  )

/** The devices as they are to be now: of those that an instance has, the ports are replaced, and nothing else. */
export const withPorts = (devices: Instance['devices'], ports: readonly ForwardedPort[]): Record<string, Device> => ({
  ...Object.fromEntries(Object.entries(devices).filter(([name]) => !name.startsWith(portPrefix))),
  ...portDevices(ports),
})

const endpoint = /^(?<protocol>tcp|udp):(?<address>.*):(?<port>\d+)$/

const portOf = ({listen = '', connect = ''}: Device): ForwardedPort | undefined => {
  const [from, to] = [endpoint.exec(listen)?.groups, endpoint.exec(connect)?.groups]
  if (!from || !to) return undefined
  return {
    protocol: from['protocol'] === 'udp' ? 'udp' : 'tcp',
    bind: (from['address'] ?? '').replaceAll(/[[\]]/g, ''),
    host: Number(from['port']),
    guest: Number(to['port']),
  }
}

/** The ports that an instance has published. */
export const publishedPorts = ({devices}: Pick<Instance, 'devices'>): readonly ForwardedPort[] =>
  Object.entries(devices).flatMap(([name, one]) => (name.startsWith(portPrefix) ? (portOf(one) ?? []) : []))

const range = {first: 20_000, count: 20_000} as const

/** The ports of a VM with those chosen that the VMFile leaves open: what the instance has is kept, and what others have is left to them. */
export const choosePorts = (vm: Vm, instances: ReadonlyMap<string, Instance>, own: Instance | undefined): readonly ForwardedPort[] => {
  const kept = own ? publishedPorts(own) : []
  const taken = new Set(
    [...instances.values()].filter(({name}) => name !== own?.name).flatMap((one) => publishedPorts(one).map(({host}) => host)),
  )
  const free = (seed: string): number => {
    const start = createHash('sha256').update(seed).digest().readUInt32BE(0) % range.count
    for (let step = 0; step < range.count; step++) {
      const port = range.first + ((start + step) % range.count)
      if (!taken.has(port)) return port
    }
    throw new VmctlError('vmctl::network::port_refused', `The home of ${vm.name} has no port left.`)
  }
  return (vm.spec.ports ?? []).map((port): ForwardedPort => {
    const same = kept.find(({protocol, guest, bind}) => protocol === port.protocol && guest === port.guest && bind === port.bind)
    const host = port.host ?? same?.host ?? free(`${vm.id} ${port.protocol} ${port.guest}`)
    taken.add(host)
    return {...port, host}
  })
}

import {VmctlError} from '../../model/errors.ts'
import type {VmSpec} from '../../model/vm.ts'
import {at} from './api/client.ts'
import {optional, shape, text} from './api/read.ts'
import {incusFailures} from './failures.ts'
import type {Server} from './server.ts'

interface Facts {
  readonly auth: string
  readonly environment: {readonly driver: string | undefined} | undefined
}

const facts = shape<Facts>({auth: text, environment: optional(shape({driver: optional(text)}))})

const named = shape<{readonly name: string}>({name: text})

/**
 * Asks the server what can be known before anything is made there.
 * @throws VmctlError `vmctl::incus::untrusted`, `vmctl::incus::no_vms`, `vmctl::incus::not_found`, `vmctl::backend::not_available`
 */
export const checkSpec = async (server: Server, spec: VmSpec): Promise<void> => {
  const {client} = server
  const {signal} = new AbortController()
  refuseLocal(spec)
  const {member} = spec.place ?? {}
  const {auth, environment} = await client.get({path: at(), query: {target: member}, doing: 'ask what the server can do', signal}, facts)
  const home = spec.home?.name ?? ''
  if (auth !== 'trusted') throw new VmctlError(incusFailures.untrusted, `The server of the home ${home} does not trust this host.`)
  requireKind(spec, environment?.driver ?? '')
  for (const [noun, path] of namedIn(spec)) await requireThing(server, {noun, path, home, signal})
}

const requireKind = ({kind, home, place}: VmSpec, driver: string): void => {
  const drivers = driver.split(' | ')
  const on = place?.member === undefined ? '' : ` on ${place.member}`
  if (kind === undefined && !drivers.includes('qemu'))
    throw new VmctlError(incusFailures.noVms, `The server of the home ${home?.name} runs no VMs${on}.`)
  if (kind === 'container' && !drivers.includes('lxc'))
    throw new VmctlError('vmctl::backend::not_available', `The server of the home ${home?.name} runs no containers${on}.`)
}

/** What a spec names of its server, with the path of each. */
const namedIn = ({home, place}: VmSpec): readonly (readonly [string, string])[] => [
  ...(home?.pool === undefined ? [] : [['storage pool', at('storage-pools', home.pool)] as const]),
  ...(home?.network === undefined ? [] : [['network', at('networks', home.network)] as const]),
  ...(place?.group === undefined ? [] : [['group of members', at('cluster', 'groups', place.group)] as const]),
]

const requireThing = async (
  {client}: Server,
  {noun, path, home, signal}: {readonly noun: string; readonly path: string; readonly home: string; readonly signal: AbortSignal},
): Promise<void> => {
  if (await client.find({path, doing: `look for the ${noun}`, signal}, named)) return
  throw new VmctlError(incusFailures.notFound, `The home ${home} has no ${noun} ${decodeURIComponent(path.split('/').at(-1) ?? '')}.`)
}

/** What a VMFile is refused for at its place, from whoever has no VMFile. */
const refuseLocal = (spec: VmSpec): void => {
  const what = local.flatMap(([noun, isAsked]) => (isAsked(spec) ? [noun] : []))
  if (what.length > 0) throw new VmctlError('vmctl::backend::not_available', `A home does not have ${what.join(', ')}.`)
}

const local: readonly (readonly [string, (spec: VmSpec) => boolean])[] = [
  ['folders of this host', ({shares = []}) => shares.length > 0],
  ['devices of this host', ({devices = []}) => devices.length > 0],
  ['volumes', ({volumes = []}) => volumes.length > 0],
  ['bridges of this host', ({network: {type}}) => type === 'tap' || type === 'vnic'],
  ['networks of other drivers than mesh', ({networks = []}) => networks.some(({network}) => network.driver !== 'mesh')],
  ['published ports of VMs', ({kind, ports = []}) => kind === undefined && ports.length > 0],
]

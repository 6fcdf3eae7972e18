import {createHash} from 'node:crypto'

import {isFailure, messageOf, VmctlError} from '../../model/errors.ts'
import type {Vm} from '../../model/vm.ts'
import type {OperationOptions} from '../hypervisor.ts'
import {at} from './api/client.ts'
import {dictionary, flag, list, optional, type Reader, shape, text} from './api/read.ts'
import {incusFailures} from './failures.ts'
import {homeOf, type Server} from './server.ts'

const digestOf = (id: string): Buffer => createHash('sha256').update(id).digest()

/** What a network between VMs is called on the server. A bridge of Linux has 15 characters for its name, and its tunnel has two more. */
export const meshName = (id: string): string => `vm-${digestOf(id).toString('hex').slice(0, 10)}`

interface Network {
  readonly used_by: readonly string[]
  readonly config: Readonly<Record<string, string>>
  /** `Pending` while not all members of a cluster have it. */
  readonly status: string | undefined
}

const network: Reader<Network> = shape({used_by: list(text), config: dictionary(text), status: optional(text)})

/** How a network says whose it is. */
const ofNetwork = 'user.vmctl.network'

/** What a cluster has on all of its members. */
interface Cluster {
  readonly members: readonly string[]
  /** The interface by which its members reach each other, as far as it can be told. */
  readonly link: string | undefined
}

/** Bridges without addresses, since the guests configure themselves; those of the members of a cluster are one by a tunnel. */
const configOf = (id: string, cluster: Cluster | undefined): Readonly<Record<string, string>> => ({
  'ipv4.address': 'none',
  'ipv6.address': 'none',
  [ofNetwork]: id,
  ...(cluster && {
    'tunnel.v.protocol': 'vxlan',
    // 24 bits, of which 0 is none.
    'tunnel.v.id': String(1 + (digestOf(id).readUInt32BE(0) % (2 ** 24 - 2))),
    ...(cluster.link !== undefined && {'tunnel.v.interface': cluster.link}),
  }),
})

/** Makes the networks between VMs that a VM is on. */
export const ensureMeshes = async (server: Server, vm: Vm, {signal}: OperationOptions): Promise<void> => {
  for (const nic of vm.attachments?.nics ?? []) await ensureMesh(server, {vm, id: nic.network, signal})
}

interface Wanted {
  readonly vm: Vm
  readonly id: string
  readonly signal: AbortSignal
}

const ensureMesh = async (server: Server, {vm, id, signal}: Wanted): Promise<void> => {
  const {client} = server
  const name = meshName(id)
  const path = at('networks', name)
  const look = () => client.find({path, doing: `look for the network ${name}`, signal}, network)
  const isWhole = (one: Network | undefined): boolean => one?.config[ofNetwork] === id && (one.status ?? 'Created') === 'Created'
  const found = await look()
  if (isWhole(found)) return
  // One that is on its way on some members of a cluster has no mark yet.
  if (found && found.config[ofNetwork] !== id && found.status !== 'Pending')
    throw new VmctlError(incusFailures.nameTaken, `The network ${name} of the home ${homeOf(vm).name} is not of vmctl.`)
  if (found?.status === 'Errored') await client.run({method: 'DELETE', path, doing: `remove the network ${name}`, signal})
  const make = async (target: string | undefined, config: Readonly<Record<string, string>>): Promise<void> => {
    const json = {name, type: 'bridge', config, description: id}
    await client.run({method: 'POST', path: at('networks'), query: {target}, json, doing: `make the network ${name}`, signal})
  }
  const cluster = await clusterOf(server, signal)
  try {
    for (const member of cluster?.members ?? []) {
      await make(member, {}).catch((error: unknown) => {
        // An earlier command was cut off here.
        if (!isFailure(error, incusFailures.nameTaken) && !/already defined|already exists/i.test(messageOf(error))) throw error
      })
    }
    await make(undefined, configOf(id, cluster))
  } catch (error) {
    // Another VM of the stack may have been quicker.
    if (!isWhole(await look())) throw error
  }
}

const facts = shape<{readonly environment: {readonly server_clustered: boolean | undefined} | undefined}>({
  environment: optional(shape({server_clustered: optional(flag)})),
})

const members = list(shape<{readonly server_name: string; readonly url: string}>({server_name: text, url: text}))

const links = list(shape<{readonly name: string; readonly managed: boolean}>({name: text, managed: flag}))

const addresses = shape<{readonly addresses: readonly {readonly address: string}[]}>({addresses: list(shape({address: text}))})

/** Undefined for a single server. */
const clusterOf = async ({client}: Server, signal: AbortSignal): Promise<Cluster | undefined> => {
  const {environment} = await client.get({path: at(), doing: 'ask what the server is', signal}, facts)
  if (!environment?.server_clustered) return undefined
  const all = await client.get({path: at('cluster', 'members'), query: {recursion: '1'}, doing: 'list the members', signal}, members)
  const [first] = all
  const names = all.map(({server_name: name}) => name)
  if (!first) return {members: names, link: undefined}
  const host = new URL(first.url).hostname.replaceAll(/[[\]]/g, '')
  const query = {target: first.server_name}
  const candidates = await client.get({path: at('networks'), query: {...query, recursion: '1'}, doing: 'list the networks', signal}, links)
  for (const {name} of candidates.filter(({managed}) => !managed)) {
    const state = await client.find({path: at('networks', name, 'state'), query, doing: `look at ${name}`, signal}, addresses)
    if (state?.addresses.some(({address}) => address === host)) return {members: names, link: name}
  }
  return {members: names, link: undefined}
}

/** Removes those of them that nobody is on any more. */
export const removeMeshes = async ({client}: Server, vm: Vm, signal: AbortSignal): Promise<void> => {
  for (const {network: id} of vm.attachments?.nics ?? []) {
    const path = at('networks', meshName(id))
    const found = await client.find({path, doing: `look for the network ${id}`, signal}, network)
    if (!found || found.config[ofNetwork] !== id || found.used_by.length > 0) continue
    // One that somebody joins at this moment stays.
    await client.run({method: 'DELETE', path, doing: `remove the network ${id}`, signal}).catch(() => signal.throwIfAborted())
  }
}

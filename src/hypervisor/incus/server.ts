import {VmctlError} from '../../model/errors.ts'
import type {HomeSpec} from '../../model/home.ts'
import type {Vm} from '../../model/vm.ts'
import type {HomeAccess} from '../home-servers.ts'
import {at, type IncusClient, openIncus} from './api/client.ts'
import {list, shape, text} from './api/read.ts'
import {incusFailures} from './failures.ts'
import {type Instance, instance, instanceName, isOf} from './instance.ts'

/** @throws VmctlError `vmctl::home::not_found` */
export type FindHome = (name: string) => Promise<HomeAccess>

/** A project of a server. */
export interface Server {
  readonly client: IncusClient
  readonly access: HomeAccess
  /** The instances of the project by their names. Whoever asks while an answer is on its way gets that one. */
  readonly instances: () => Promise<ReadonlyMap<string, Instance>>
  /** URLs of the members of a cluster, by their names; asked once. */
  readonly memberUrls: () => Promise<ReadonlyMap<string, string>>
}

/** The servers of homes, each opened once. */
export const openServers = (find: FindHome): ((home: HomeSpec) => Promise<Server>) => {
  const known = new Map<string, Promise<Server>>()
  return ({name, project}) => {
    const key = JSON.stringify([name, project])
    const server = known.get(key) ?? openServer(find, name, project)
    known.set(key, server)
    server.catch(() => known.delete(key))
    return server
  }
}

const openServer = async (find: FindHome, name: string, project: string | undefined): Promise<Server> => {
  const access = await find(name)
  const client = await openIncus({...access, ...(project !== undefined && {project})})
  let urls: Promise<ReadonlyMap<string, string>> | undefined
  let asked: Promise<ReadonlyMap<string, Instance>> | undefined
  return {
    client,
    access,
    memberUrls: () => (urls ??= listMembers(client)),
    instances: () => (asked ??= listInstances(client).finally(() => (asked = undefined))),
  }
}

const listInstances = async (client: IncusClient): Promise<ReadonlyMap<string, Instance>> => {
  const {signal} = new AbortController()
  const all = await client.get({path: at('instances'), query: {recursion: '1'}, doing: 'list the instances', signal}, list(instance))
  return new Map(all.map((one) => [one.name, one]))
}

const members = list(shape<{readonly server_name: string; readonly url: string}>({server_name: text, url: text}))

const listMembers = async (client: IncusClient): Promise<ReadonlyMap<string, string>> => {
  const {signal} = new AbortController()
  const call = {path: at('cluster', 'members'), query: {recursion: '1', project: undefined}, doing: 'list the members', signal}
  // A certificate for some projects only may not look at them.
  const all = await client.get(call, members).catch(() => [])
  return new Map(all.map(({server_name: name, url}) => [name, url]))
}

/** By what address of the network a published port of an instance is reached; undefined when only a Unix socket leads to the server. */
export const hostOf = async (server: Server, {location}: Pick<Instance, 'location'>): Promise<string | undefined> => {
  const [first] = server.access.addresses
  const own = first && 'url' in first ? first.url : undefined
  const url = location === 'none' ? own : ((await server.memberUrls()).get(location) ?? own)
  return url === undefined ? undefined : new URL(url).hostname
}

/** @throws Error for a VM of this host, which no server knows */
export const homeOf = ({name, spec}: Pick<Vm, 'name' | 'spec'>): HomeSpec => {
  if (spec.home) return spec.home
  throw new VmctlError('vmctl::backend::not_available', `${name} names no home, and only there Incus makes VMs.`, {
    help: 'Name one in the VMFile, `project "…" { home "incus" { remote "NAME"; } }`, or by `--home NAME`; `vmctl home ls` shows them.',
  })
}

/** The instance of a VM; undefined when there is none, or one of that name that is somebody else's. */
export const findInstance = async ({client}: Server, vm: Vm, signal: AbortSignal): Promise<Instance | undefined> => {
  const name = instanceName(vm)
  const found = await client.find({path: at('instances', name), doing: `look at the instance ${name}`, signal}, instance)
  return found && isOf(found, vm) ? found : undefined
}

/** @throws VmctlError `vmctl::incus::not_found` */
export const requireInstance = async (server: Server, vm: Vm, signal: AbortSignal): Promise<Instance> => {
  const found = await findInstance(server, vm, signal)
  if (found) return found
  throw new VmctlError(
    incusFailures.notFound,
    `${vm.name} is gone from the home ${homeOf(vm).name}: it has no instance ${instanceName(vm)}.`,
    {
      help: `Make it anew with \`vmctl reload ${vm.name}\`, or forget it with \`vmctl destroy ${vm.name}\`.`,
    },
  )
}

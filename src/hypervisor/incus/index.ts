import {VmctlError} from '../../model/errors.ts'
import {homeBackend} from '../../model/home.ts'
import {type Observation, stateAtRest, type Vm} from '../../model/vm.ts'
import type {Hypervisor} from '../hypervisor.ts'
import {instanceName, isOf, macOf, type Instance} from './instance.ts'
import type {FindHome, Server} from './server.ts'

export interface IncusBackendOptions {
  /** How the server of a home is reached, by the name of the home. */
  readonly find: FindHome
  /** The state directory, in a word that says nothing about it: what another one has made is not touched. */
  readonly owner: string
}

/** VMs and system containers on a server, or a cluster, of Incus. */
export const incusHypervisor = ({find, owner}: IncusBackendOptions): Hypervisor => {
  let servers: Promise<(home: NonNullable<Vm['spec']['home']>) => Promise<Server>> | undefined
  /** Loaded when a VM lives in a home, as most do not. */
  const server = async (vm: Pick<Vm, 'name' | 'spec'>): Promise<Server> => {
    servers ??= import('./server.ts').then(({openServers}) => openServers(find))
    const {homeOf} = await import('./server.ts')
    return (await servers)(homeOf(vm))
  }
  const life = async () => (await import('./life.ts')).incusLife({server, owner})
  const reach = () => import('./reach.ts')
  const requireNetwork = ({name, spec}: Vm): void => {
    if (spec.network.type === 'none') throw new VmctlError('vmctl::backend::not_available', `The VM ${name} has no network.`)
  }
  return {
    name: homeBackend,
    unavailable: async () => undefined,
    check: async (spec) => {
      const {checkSpec} = await import('./check.ts')
      await checkSpec(await server({name: spec.name, spec}), spec)
    },
    prepare: async (vm, given) => (await life()).prepare(vm, given),
    seed: async (vm, documents, given) => (await life()).seed(vm, documents, given),
    start: async (vm, given) => (await life()).start(vm, given),
    stop: async (vm, given) => (await life()).stop(vm, given),
    destroy: async (vm, given) => (await life()).destroy(vm, given),
    adapt: async (vm, given) => (await life()).adapt(vm, given),
    suspend: async (vm, given) => (await life()).suspend(vm, given),
    resume: async (vm, given) => (await life()).resume(vm, given),
    async observe(vm) {
      const on = await server(vm)
      const instance = (await on.instances()).get(instanceName(vm))
      const macAddress = macOf(vm)
      if (!instance || !isOf(instance, vm)) return {state: stateAtRest(vm), macAddress}
      const [{publishedPorts}, {hostOf}] = await Promise.all([import('./devices.ts'), import('./server.ts')])
      const published = publishedPorts(instance)
      const host = published.length > 0 ? await hostOf(on, instance) : undefined
      const ports = published.map((port) => (host !== undefined && isWild(port.bind) ? {...port, bind: host} : port))
      return {
        ...stateOf(vm, instance),
        macAddress,
        ...(instance.location !== 'none' && {member: instance.location}),
        ...(ports.length > 0 && {ports}),
      }
    },
    async dial(vm, port, {signal}) {
      requireNetwork(vm)
      const {relayToSsh, dialAddress} = await reach()
      const on = await server(vm)
      return vm.spec.kind === 'container' && port === 22 ? relayToSsh(on, vm, signal) : dialAddress(on, vm, {port, signal})
    },
    async sshAddress(vm, {signal}) {
      if (vm.spec.network.type === 'none') return undefined
      if (vm.spec.kind === 'container') return {host: vm.name, port: 22, isRelayed: true}
      const host = await (await reach()).addressOf(await server(vm), vm, signal)
      return host === undefined ? undefined : {host, port: 22}
    },
    fetchConsole: async (vm, {signal}) => (await import('./console.ts')).fetchConsole(await server(vm), vm, signal),
    console: async (vm, {signal}) => (await import('./console.ts')).openConsole(await server(vm), vm, signal),
  }
}

/** All addresses of a member, of which one is worth telling. */
const isWild = (bind: string): boolean => bind === '0.0.0.0' || bind === '::'

/** What a server calls the state of an instance; whatever is not named here runs, or is about to. */
const stateOf = (vm: Vm, {status, location}: Instance): Pick<Observation, 'state' | 'crash'> => {
  if (status === 'Stopped') return {state: stateAtRest(vm)}
  if (status === 'Frozen') return {state: 'suspended'}
  if (status === 'Error') return {state: 'failed', crash: `the member ${location} of the cluster does not answer`}
  return {state: 'running'}
}

import {isDeepStrictEqual} from 'node:util'

import {type Failure, isFailure, messageOf, VmctlError} from '../../model/errors.ts'
import type {SeedDocuments} from '../../model/cloud-init.ts'
import type {Vm} from '../../model/vm.ts'
import type {Hypervisor, OperationOptions} from '../hypervisor.ts'
import {at, type Change} from './api/client.ts'
import {choosePorts, devicesOf, readProfile, withPorts} from './devices.ts'
import {incusFailures} from './failures.ts'
import {ensureServerImage} from './image.ts'
import {type Instance, instance, instanceIdKey, instanceName, label} from './instance.ts'
import {ensureMeshes, removeMeshes} from './mesh.ts'
import {findInstance, requireInstance, type Server} from './server.ts'

export interface LifeOptions {
  readonly server: (vm: Vm) => Promise<Server>
  /** The state directory, in a word that says nothing about it. */
  readonly owner: string
}

type Life = Required<Pick<Hypervisor, 'prepare' | 'seed' | 'start' | 'stop' | 'destroy' | 'adapt' | 'suspend' | 'resume'>>

/** What changes an instance. Each act looks first, so it may be repeated. */
export const incusLife = ({server: open, owner}: LifeOptions): Life => {
  const change = (vm: Vm, {signal, notify}: Pick<OperationOptions, 'signal' | 'notify'>, doing: string) =>
    ({
      path: at('instances', instanceName(vm)),
      doing: `${doing} the instance ${instanceName(vm)}`,
      signal,
      notify,
    }) satisfies Partial<Change>

  const setState = async (server: Server, vm: Vm, {state, ...options}: StateChange): Promise<void> => {
    const base = change(vm, options, state.action)
    await server.client.run({
      ...base,
      method: 'PUT',
      path: `${base.path}/state`,
      json: state,
      repeatable: true,
      timeoutMs: stateMs + (state.timeout ?? 0) * 1000,
    })
  }

  /** What a command that was killed has made for a VM of this name, and nobody has put on record. */
  const removeStaged = async (server: Server, vm: Vm, options: OperationOptions): Promise<void> => {
    for (const {name, config, status} of (await server.instances()).values()) {
      const isLeft = config[label.staged] !== undefined && config[label.name] === vm.spec.name && config[label.owner] === owner
      if (!isLeft || config[label.id] === vm.id || status !== 'Stopped') continue
      await server.client.run({method: 'DELETE', path: at('instances', name), doing: `remove the instance ${name}`, signal: options.signal})
    }
  }

  const make = async (server: Server, vm: Vm, options: OperationOptions): Promise<void> => {
    const {signal} = options
    const {member, group} = vm.spec.place ?? {}
    await removeStaged(server, vm, options)
    const [fingerprint, profile, instances] = await Promise.all([
      ensureServerImage(server, vm, options),
      readProfile(server, signal),
      server.instances(),
    ])
    await ensureMeshes(server, vm, options)
    const isContainer = vm.spec.kind === 'container'
    await server.client.run({
      ...change(vm, options, 'create'),
      method: 'POST',
      path: at('instances'),
      query: {target: member ?? (group === undefined ? undefined : `@${group}`)},
      json: {
        name: instanceName(vm),
        type: isContainer ? 'container' : 'virtual-machine',
        description: `${vm.spec.name}, by vmctl`,
        start: false,
        source: {type: 'image', fingerprint},
        config: {
          ...sizeOf(vm),
          ...(!isContainer && {
            'security.secureboot': String(vm.spec.firmware?.secureBoot ?? false),
            ...(vm.spec.firmware?.type === 'bios' && {'security.csm': 'true'}),
          }),
          [label.id]: vm.id,
          [label.name]: vm.spec.name,
          [label.owner]: owner,
          [label.staged]: 'true',
        },
        devices: devicesOf(vm, {profile, ports: choosePorts(vm, instances, undefined)}),
      },
      timeoutMs: createMs,
      lookUp: async () => ((await findInstance(server, vm, signal)) ? {} : undefined),
    })
  }

  /** Brings the size of an instance, and its ports, to what the spec says; those of one that runs come by `adapt`. */
  const fit = async (server: Server, vm: Vm, options: OperationOptions): Promise<void> => {
    const instances = await server.instances()
    await server.client.alter(change(vm, options, 'change'), whole, (now) => {
      const own = instance(now, 'instance')
      const {root, ...others} = withPorts(own.devices, choosePorts(vm, instances, own))
      const {diskBytes} = vm.spec
      const devices = {...others, root: {...root, ...(diskBytes !== undefined && {size: `${diskBytes}B`})}}
      const config = {...own.config, ...sizeOf(vm)}
      return isSame(own, {config, devices}) ? undefined : {...now, config, devices}
    })
  }

  const life: Life = {
    async prepare(vm, options) {
      const server = await open(vm)
      const found = await findInstance(server, vm, options.signal)
      if (!found) return make(server, vm, options)
      if (found.status === 'Stopped') await fit(server, vm, options)
    },

    async seed(vm, documents, options) {
      const server = await open(vm)
      const {config} = await requireInstance(server, vm, options.signal)
      const id = config[label.seedId] ?? config[instanceIdKey]
      const patch = async (values: Readonly<Record<string, string>>): Promise<void> => {
        await server.client.run({...change(vm, options, 'give the seed to'), method: 'PATCH', json: {config: values}, repeatable: true})
      }
      await patch({...seedConfig(documents), ...(id !== undefined && {[label.seedId]: id})})
      // Another one has come with the change, by which cloud-init would take the guest for a new one.
      if (id !== undefined) await patch({[instanceIdKey]: id})
    },

    async start(vm, options) {
      const {signal} = options
      signal.throwIfAborted()
      const server = await open(vm)
      const {status, config} = await requireInstance(server, vm, signal)
      if (status === 'Running' || status === 'Frozen') return
      if (config[label.staged] !== undefined) {
        await server.client.alter(change(vm, options, 'change'), whole, (now) => {
          const {[label.staged]: staged, ...rest} = instance(now, 'instance').config
          return staged === undefined ? undefined : {...now, config: rest}
        })
      }
      // A start that is under way cannot be taken back: it is waited for, and then undone.
      const calm = {signal: AbortSignal.timeout(stateMs)}
      try {
        await setState(server, vm, {...calm, state: {action: 'start'}})
      } catch (error) {
        if ((await findInstance(server, vm, calm.signal))?.status !== 'Running') throw error
      }
      if (!signal.aborted) return
      await setState(server, vm, {...calm, state: {action: 'stop', force: true}})
      signal.throwIfAborted()
    },

    async stop(vm, {timeoutMs, onForced, ...options}) {
      const server = await open(vm)
      const found = await findInstance(server, vm, options.signal)
      if (!found || found.status === 'Stopped') return
      if (found.status === 'Frozen') await setState(server, vm, {...options, state: {action: 'unfreeze'}})
      if (timeoutMs > 0) {
        try {
          await setState(server, vm, {...options, state: {action: 'stop', timeout: Math.ceil(timeoutMs / 1000), force: false}})
          return
        } catch (error) {
          options.signal.throwIfAborted()
          if (isFailure<Failure>(error, incusFailures.unreachable, incusFailures.notReady)) throw error
          if ((await findInstance(server, vm, options.signal))?.status === 'Stopped') return
          onForced?.(`it did not power off in time: ${messageOf(error)}`)
        }
      }
      await setState(server, vm, {...options, state: {action: 'stop', force: true}})
    },

    async destroy(vm, options) {
      const server = await open(vm)
      const found = await findInstance(server, vm, options.signal)
      if (found) {
        if (found.status !== 'Stopped') await setState(server, vm, {...options, state: {action: 'stop', force: true}})
        await server.client.run({
          ...change(vm, options, 'remove'),
          method: 'DELETE',
          repeatable: true,
          lookUp: async () => ((await findInstance(server, vm, options.signal)) ? undefined : {}),
        })
      }
      await removeMeshes(server, vm, options.signal)
    },

    async adapt(vm, options) {
      const server = await open(vm)
      const found = await findInstance(server, vm, options.signal)
      if (!found || found.status === 'Stopped') return
      const instances = await server.instances()
      await server.client.alter(change(vm, options, 'change'), whole, (now) => {
        const own = instance(now, 'instance')
        const devices = withPorts(own.devices, choosePorts(vm, instances, own))
        return isSame(own, {config: own.config, devices}) ? undefined : {...now, devices}
      })
    },

    async suspend(vm, options) {
      const server = await open(vm)
      const {status} = await requireInstance(server, vm, options.signal)
      if (status !== 'Frozen') await setState(server, vm, {...options, state: {action: 'freeze'}})
    },

    async resume(vm, options) {
      const server = await open(vm)
      const {status} = await requireInstance(server, vm, options.signal)
      if (status === 'Frozen') await setState(server, vm, {...options, state: {action: 'unfreeze'}})
    },
  }
  return life
}

interface StateChange extends Pick<OperationOptions, 'signal' | 'notify'> {
  readonly state: {readonly action: 'start' | 'stop' | 'freeze' | 'unfreeze'; readonly timeout?: number; readonly force?: boolean}
}

/** Milliseconds for what a server does at once, besides the time that a guest is given. */
const stateMs = 120_000

/** A disk is copied where its pool cannot share it with the image. */
const createMs = 3_600_000

/** The whole of what the server says of an instance, to be sent back with a change. */
const whole = (value: unknown): Readonly<Record<string, unknown>> => ({...(value as object)})

const sizeOf = ({spec}: Vm): Readonly<Record<string, string>> => ({
  'limits.cpu': String(spec.vcpus),
  'limits.memory': `${spec.memoryMiB}MiB`,
})

const isSame = (own: Instance, next: Pick<Instance, 'config' | 'devices'>): boolean =>
  isDeepStrictEqual(own.config, next.config) && isDeepStrictEqual(own.devices, next.devices)

const seedConfig = ({metaData, userData, vendorData, networkConfig}: SeedDocuments): Readonly<Record<string, string>> => ({
  'user.meta-data': metaData,
  'cloud-init.user-data': asText(userData, 'user-data'),
  ...(vendorData !== undefined && {'cloud-init.vendor-data': asText(vendorData, 'vendor-data')}),
  ...(networkConfig !== undefined && {'cloud-init.network-config': asText(networkConfig, 'network-config')}),
})

/** @throws VmctlError `vmctl::backend::not_available` for bytes that are no text, which JSON cannot carry */
const asText = (document: string | Uint8Array, name: string): string => {
  if (typeof document === 'string') return document
  try {
    return new TextDecoder('utf-8', {fatal: true}).decode(document)
  } catch {
    throw new VmctlError('vmctl::backend::not_available', `The ${name} is no text in UTF-8, and an Incus server takes no other.`)
  }
}

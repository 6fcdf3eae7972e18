import {createHash} from 'node:crypto'
import {hostname} from 'node:os'
import {join, resolve} from 'node:path'

import {defaultStateDirectory} from '../host/paths.ts'
import type {HomeServers} from '../hypervisor/home-servers.ts'
import type {Hypervisor} from '../hypervisor/hypervisor.ts'
import {incusHypervisor} from '../hypervisor/incus/index.ts'
import {noopHypervisor} from '../hypervisor/noop/index.ts'
import {qemuHypervisor} from '../hypervisor/qemu/index.ts'
import type {QemuOptions} from '../hypervisor/qemu/options.ts'
import {qemuNode} from '../hypervisor/qemu/settings.ts'
import type {Catalogue, ResolverOptions} from '../image/catalogue/resolve.ts'
import {createHttpSource} from '../image/http.ts'
import type {HttpOptions} from '../image/http-client.ts'
import {downloadTurns} from '../image/turns.ts'
import {imageFiles, type ImageStore, type ResolveName} from '../image/image-store.ts'
import {offlineStore} from '../image/offline.ts'
import {createOciSource, type OciSourceOptions} from '../image/oci/index.ts'
import type {BackendNodes} from '../model/backend-node.ts'
import {debug} from '../model/debug.ts'
import {VmctlError} from '../model/errors.ts'
import {homeBackend} from '../model/home.ts'
import type {Observation, Vm, VmSpec} from '../model/vm.ts'
import {fileProvisioner} from '../provision/steps/file.ts'
import type {ReadDockerfile} from '../provision/dockerfile/index.ts'
import type {Provisioner} from '../provision/provisioner.ts'
import {rebootProvisioner} from '../provision/steps/reboot.ts'
import {shellProvisioner} from '../provision/steps/shell.ts'
import {openStore, type Store} from '../store/store.ts'
import type {EngineEvent, EventListener} from './events.ts'
import {type Extension, registerExtensions} from './extensions.ts'
import type {ImageLock} from './lock.ts'

/** Everything that a verb needs. Made once per command by `openEngine`. */
export interface Engine {
  readonly store: Store
  /** The state directory of the VMs of which those of `store` are forks: they have addresses of the host too. */
  readonly beside?: Store
  readonly images: ImageStore
  /** The images that have a name; read once. */
  readonly catalogue: () => Promise<Catalogue>
  readonly hypervisors: ReadonlyMap<string, Hypervisor>
  /** The servers that homes are on; loaded when the first is asked for. */
  readonly homeServers: () => Promise<HomeServers>
  readonly provisioners: ReadonlyMap<string, Provisioner>
  /** How Dockerfiles are read, by a verb that reads each once; anew each time when absent. */
  readonly readDockerfile?: ReadDockerfile
  /** The lock file of the VMFile that a verb is about, when it goes by one. */
  readonly lock?: ImageLock
  /** Whether what a lock file does not hold is refused: always, or only beside a VMFile that has one. */
  readonly frozen?: 'always' | 'with-lock' | undefined
  /** The backend of new VMs on this host. */
  readonly backend: string
  /** The name of the home of new VMs, in place of that of their VMFile; `local` is this host. */
  readonly home?: string | undefined
  /** Milliseconds to wait for another vmctl that works on the same VM; each verb has its own patience when absent. */
  readonly lockTimeoutMs?: number
  readonly env: NodeJS.ProcessEnv
  readonly emit: EventListener
  readonly signal: AbortSignal
}

export interface EngineOptions {
  /** By default as in `defaultStateDirectory`. */
  readonly stateDirectory?: string
  readonly extensions?: readonly Extension[]
  /** Backend of new VMs: `qemu` unless VMCTL_BACKEND says otherwise. */
  readonly backend?: string
  /** Home of new VMs, in place of that of their VMFile; VMCTL_HOME when absent. */
  readonly home?: string
  readonly lockTimeoutMs?: number
  /** Whether lock files of images are taken as they are. By default where CI=true says so and there is one. */
  readonly frozen?: boolean
  /** Whether nothing is fetched; VMCTL_OFFLINE decides when absent. */
  readonly offline?: boolean
  readonly env?: NodeJS.ProcessEnv
  readonly onEvent?: EventListener
  /** Cancels everything that is under way. */
  readonly signal?: AbortSignal
}

/** Opens the state directory and joins the parts: the composition root. */
export const openEngine = async (options: EngineOptions = {}): Promise<Engine> => {
  const env = options.env ?? process.env
  const store = await openStore(options.stateDirectory === undefined ? defaultStateDirectory(env) : resolve(options.stateDirectory))
  const told = new Set<string>()
  const http: HttpOptions = {allowPrivateRedirects: env.VMCTL_PRIVATE_REDIRECTS === '1'}
  const registry = registerExtensions([
    builtIn(store, env, {...http, mirrors: async () => (await catalogue()).mirrors}),
    ...(options.extensions ?? []),
  ])
  let known: Promise<Catalogue> | undefined
  const catalogue = (): Promise<Catalogue> =>
    (known ??= import('./catalogue.ts').then(({readCatalogue}) => readCatalogue(env, registry.publishers)))
  const directory = join(store.directory, 'images')
  const images: ImageStore = {
    directory,
    lockDirectory: store.lockDirectory,
    sources: registry.imageSources,
    turns: downloadTurns(),
    resolve: resolver({...http, catalogue, keyDirectory: imageFiles.keys({directory})}),
  }
  return {
    store,
    images: (options.offline ?? isOn(env.VMCTL_OFFLINE)) ? offlineStore(images) : images,
    catalogue,
    hypervisors: registry.hypervisors,
    homeServers: async () => (await import('../hypervisor/incus/homes.ts')).incusHomes,
    provisioners: registry.provisioners,
    frozen: frozenBy(options, env),
    ...wherePlaced(options, env),
    env,
    ...(options.lockTimeoutMs !== undefined && {lockTimeoutMs: options.lockTimeoutMs}),
    emit: (event) => {
      if (event.type === 'vm.notice' && event.vm === undefined) {
        if (told.has(event.message)) return undefined
        told.add(event.message)
      }
      debug(moduleOf(event), () => describeEvent(event))
      return options.onEvent?.(event)
    },
    signal: options.signal ?? new AbortController().signal,
  }
}

/** Where new VMs are made. */
const wherePlaced = ({backend, home}: EngineOptions, env: NodeJS.ProcessEnv): Pick<Engine, 'backend' | 'home'> => ({
  backend: backend ?? (env.VMCTL_BACKEND || 'qemu'),
  home: home ?? (env.VMCTL_HOME || undefined),
})

/** Whether a variable says yes. */
const isOn = (value = ''): boolean => /^(?:1|true|yes|on)$/i.test(value)

const frozenBy = ({frozen}: EngineOptions, env: NodeJS.ProcessEnv): Engine['frozen'] => {
  if (frozen !== undefined) return frozen ? 'always' : undefined
  return isOn(env.CI) ? 'with-lock' : undefined
}

/** Loaded when a name is looked up for the first time, which most commands never do. */
const resolver =
  (options: ResolverOptions): ResolveName =>
  async (reference, how) =>
    (await import('../image/catalogue/resolve.ts')).createResolver(options)(reference, how)

const builtIn = (store: Store, env: NodeJS.ProcessEnv, images: Omit<OciSourceOptions, 'env'>): Extension => ({
  hypervisors: [
    qemuHypervisor({
      stateDirectory: store.directory,
      accelerators: wordsOf(env.VMCTL_ACCEL),
      leaseFiles: wordsOf(env.VMCTL_LEASES, ':'),
      binary: env.VMCTL_QEMU || undefined,
      firmware: firmwareOf(env),
    }),
    noopHypervisor(noopGuest(env.VMCTL_NOOP_SSH)),
    incusHypervisor({
      find: async (name) => {
        const {homeAccess, homesDirectory} = await import('./homes.ts')
        return homeAccess({homes: homesDirectory(env), name})
      },
      owner: ownerOf(store),
    }),
  ],
  imageSources: [createHttpSource(images), createOciSource({...images, env})],
  provisioners: [shellProvisioner, fileProvisioner, rebootProvisioner],
})

/** Whose instances those of a server are: this state directory's, on this host. */
const ownerOf = ({directory}: Store): string => createHash('sha256').update(`${hostname()} ${directory}`).digest('hex').slice(0, 16)

/** @throws VmctlError `vmctl::usage::invalid` for one without the other: code and variables of different builds do not boot */
const firmwareOf = (env: NodeJS.ProcessEnv): QemuOptions['firmware'] => {
  const [code, vars] = [env.VMCTL_OVMF_CODE, env.VMCTL_OVMF_VARS]
  if (!code && !vars) return undefined
  if (code && vars) return {code, vars}
  throw new VmctlError('vmctl::usage::invalid', 'Of VMCTL_OVMF_CODE and VMCTL_OVMF_VARS only one is set.', {
    help: 'Set both to files of one build of the firmware, or neither.',
  })
}

const wordsOf = (text: string | undefined, separator: string | RegExp = /[,\s]+/): string[] | undefined => {
  const words = text?.split(separator).filter((word) => word !== '')
  return words && words.length > 0 ? words : undefined
}

/** `127.0.0.1:2222`: an SSH server that stands in for the guests of the noop backend, for tests. */
const noopGuest = (address: string | undefined) => {
  const [, host, port] = /^(.+):(\d+)$/.exec(address ?? '') ?? []
  return host !== undefined && port !== undefined ? {guest: {host, port: Number(port)}} : {}
}

/** What a filter of VMCTL_LOG calls the origin of an event; the book's name for everything about the guest is ssh. */
const moduleOf = ({type}: EngineEvent): string => (type.startsWith('guest.') ? 'ssh' : (type.split('.')[0] ?? ''))

const describeEvent = (event: EngineEvent): string =>
  event.type === 'provision.output' ? `${event.type} ${event.stream} ${event.chunk.length} bytes` : JSON.stringify(event)

/** The backend of a VM, or of new VMs on this host. Throws `vmctl::backend::not_available` when nothing of that name is there or it cannot run here. */
export const hypervisorOf = (engine: Engine, vm?: Vm): Promise<Hypervisor> => hypervisorNamed(engine, vm?.backend ?? engine.backend)

/** The backend of a new VM; throws as `hypervisorOf`. */
export const hypervisorFor = (engine: Engine, {home}: Pick<VmSpec, 'home'>): Promise<Hypervisor> =>
  hypervisorNamed(engine, home ? homeBackend : engine.backend)

const hypervisorNamed = async (engine: Engine, name: string): Promise<Hypervisor> => {
  const hypervisor = engine.hypervisors.get(name)
  if (!hypervisor) {
    const known = [...engine.hypervisors.keys()].join(', ')
    throw new VmctlError('vmctl::backend::not_available', `There is no backend named ${JSON.stringify(name)}; there are: ${known}.`)
  }
  const reason = await hypervisor.unavailable()
  if (reason !== undefined) throw new VmctlError('vmctl::backend::not_available', `The backend ${name} is not available: ${reason}.`)
  return hypervisor
}

/** The nodes that backends have in a VMFile. */
export const backendNodes = ({hypervisors}: Pick<Engine, 'hypervisors'>): BackendNodes =>
  new Map([...hypervisors].flatMap(([name, {node}]) => (node ? [[name, node] as const] : [])))

/** Those that are there without plugins. */
export const ownBackendNodes: BackendNodes = new Map([['qemu', qemuNode]])

/** What the backend of a VM sees of it now. */
export const observe = async (engine: Engine, vm: Vm): Promise<Observation> => (await hypervisorOf(engine, vm)).observe(vm)

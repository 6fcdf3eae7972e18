import type {Check} from '../../model/check.ts'
import {isVmctlError, messageOf} from '../../model/errors.ts'
import {formatSize} from '../../model/quantity.ts'
import type {HomeAccess} from '../home-servers.ts'
import {fingerprintOfCertificate} from './api/certificate.ts'
import {at, type Call, type IncusClient, openIncus} from './api/client.ts'
import {anything, dictionary, flag, list, number, optional, type Reader, shape, text} from './api/read.ts'
import {examineMembers, type Member} from './members.ts'

const server = shape<Server>({
  auth: text,
  config: dictionary(anything),
  environment: optional(
    shape<NonNullable<Server['environment']>>({
      server_version: text,
      server_clustered: optional(flag),
      server_name: optional(text),
      driver: text,
    }),
  ),
})

interface Server {
  readonly auth: string
  readonly config: Readonly<Record<string, unknown>>
  readonly environment:
    | {
        readonly server_version: string
        readonly server_clustered: boolean | undefined
        readonly server_name: string | undefined
        readonly driver: string
      }
    | undefined
}

const members = list(shape<Member>({server_name: text, status: text, message: optional(text), roles: list(text)}))

const pools = list(shape<{readonly name: string; readonly driver: string}>({name: text, driver: text}))
const room = shape<{readonly space: {readonly used: number; readonly total: number}}>({
  space: shape<{readonly used: number; readonly total: number}>({used: number, total: number}),
})
const warnings = list(shape<{readonly type: string; readonly last_message: string}>({type: text, last_message: text}))
const certificate = shape<{readonly restricted: boolean; readonly projects: readonly string[]}>({restricted: flag, projects: list(text)})

const patienceMs = 8000
const enoughBytes = 5 * 2 ** 30

/** Pools whose disks every member reaches. */
const shared = new Set(['ceph', 'cephfs', 'cephobject', 'lvmcluster', 'linstor', 'truenas'])

interface View {
  readonly access: HomeAccess
  readonly client: IncusClient
  /** As `get`, and undefined for what the server does not show to this home. */
  look<T>(call: Pick<Call, 'path' | 'query'>, read: Reader<T>): Promise<T | undefined>
}

/** Looks at the server of a home, and changes nothing there. */
export const examineHome = async (access: HomeAccess, {signal}: {readonly signal: AbortSignal}): Promise<readonly Check[]> => {
  await using client = await openIncus({...access, patienceMs})
  const look: View['look'] = (call, read) =>
    client.get({doing: 'look at the server', signal, ...call}, read).catch(() => {
      signal.throwIfAborted()
      return undefined
    })
  let seen: Server
  try {
    seen = await client.get({path: '/1.0', doing: 'look at the server', signal}, server)
  } catch (error) {
    signal.throwIfAborted()
    return [{name: 'server', status: 'fail', detail: messageOf(error), ...(isVmctlError(error) && {help: error.help})}]
  }
  const {environment} = seen
  if (seen.auth !== 'trusted' || !environment) return [untrusted(client)]
  const view: View = {access, client, look}
  const all =
    environment.server_clustered === true ? ((await look({path: at('cluster', 'members'), query: {recursion: '1'}}, members)) ?? []) : []
  return [
    {
      name: 'server',
      status: 'ok',
      detail: `${client.server()}, Incus ${environment.server_version}${all.length > 0 ? `, a cluster of ${all.length}` : ''}`,
    },
    await examineTrust(view),
    await examineVms(view, environment.driver, all),
    ...(await examinePools(view, all.length > 1)),
    ...examineMembers(all),
    ...examineHealing(environment.server_version, seen.config),
  ]
}

const untrusted = (client: IncusClient): Check => ({
  name: 'trust',
  status: 'fail',
  detail: `${client.server()} does not know this home (any more)`,
  help: 'Have a new token made there (`incus config trust add NAME`) and add the home again with it: `vmctl home add NAME --token -`.',
})

const examineTrust = async ({access: {credentials, project = 'default'}, look}: View): Promise<Check> => {
  if (!credentials) return {name: 'trust', status: 'ok', detail: 'by the Unix socket'}
  const known = await look(
    {path: at('certificates', fingerprintOfCertificate(credentials.certificate)), query: {project: undefined}},
    certificate,
  )
  if (known?.restricted === false) return {name: 'trust', status: 'ok', detail: `trusted for all projects; uses ${project}`}
  const names =
    known?.projects ??
    (
      await look({path: at('projects'), query: {recursion: '1', project: undefined}}, list(shape<{readonly name: string}>({name: text})))
    )?.map(({name}) => name) ??
    []
  const detail = `restricted to ${names.length > 0 ? names.join(', ') : 'no project'}; uses ${project}`
  if (names.includes(project)) return {name: 'trust', status: 'ok', detail}
  return {
    name: 'trust',
    status: 'fail',
    detail,
    help: 'Add the home again for one of its projects: `vmctl home add NAME --project PROJECT`.',
  }
}

const hasVms = (driver: string): boolean => driver.split(' | ').includes('qemu')

const examineVms = async ({look}: View, driver: string, all: readonly Member[]): Promise<Check> => {
  const drivers =
    all.length === 0
      ? [{name: 'the server', driver}]
      : await Promise.all(
          all.map(async ({server_name: name}) => ({
            name,
            driver: (await look({path: '/1.0', query: {target: name}}, server))?.environment?.driver,
          })),
        )
  const [able, unable] = [
    drivers.filter((one) => hasVms(one.driver ?? '')),
    drivers.filter((one) => one.driver !== undefined && !hasVms(one.driver)),
  ]
  if (unable.length === 0 && able.length > 0) return {name: 'vms', status: 'ok', detail: 'virtual machines and system containers'}
  const reasons = ((await look({path: at('warnings'), query: {recursion: '1', project: undefined}}, warnings)) ?? [])
    .filter(({type}) => type === 'Instance type not operational')
    .map((warning) => warning.last_message)
  const why = [...new Set(reasons)].join('; ')
  return {
    name: 'vms',
    status: 'warn',
    detail: `${unable.map(({name}) => name).join(', ') || 'the server'} can run system containers only${why === '' ? '' : `: ${why}`}`,
    help: 'VMs need /dev/kvm and /dev/vhost-vsock there (`modprobe vhost_vsock`), firmware (ovmf) and what Incus suggests for VMs.',
  }
}

const examinePools = async ({look}: View, isCluster: boolean): Promise<Check[]> => {
  const found = (await look({path: at('storage-pools'), query: {recursion: '1', project: undefined}}, pools)) ?? []
  return Promise.all(
    found.map(async ({name, driver}): Promise<Check> => {
      const space = (await look({path: at('storage-pools', name, 'resources'), query: {project: undefined}}, room))?.space
      const free = space ? space.total - space.used : undefined
      const parts = [`${name} (${driver})`, free === undefined ? undefined : `${formatSize(free)} free`]
      const isLocal = isCluster && !shared.has(driver)
      const detail = [...parts, isLocal ? 'of each member alone: the VMs of one that is lost are down until it is back' : undefined]
        .filter(Boolean)
        .join(', ')
      if (free === undefined || free >= enoughBytes) return {name: 'pool', status: 'ok', detail}
      return {name: 'pool', status: 'warn', detail, help: 'Images and disks need room: free some, or make the pool larger.'}
    }),
  )
}

/** Before it, healing cuts the network of the member that leads: lxc/incus#2976. */
const healingMended = [6, 0, 6] as const

const examineHealing = (version: string, config: Readonly<Record<string, unknown>>): Check[] => {
  const threshold = Number(config['cluster.healing_threshold'] ?? 0)
  if (!(threshold > 0) || !isBefore(version, healingMended)) return []
  return [
    {
      name: 'healing',
      status: 'warn',
      detail: `cluster.healing_threshold is ${threshold}, and this Incus ${version} cuts the network of its leader when it heals`,
      help: 'Set it to 0 (`incus config set cluster.healing_threshold 0`), or update to 6.0.6 or newer.',
    },
  ]
}

const isBefore = (version: string, limit: readonly number[]): boolean => {
  const parts = version.split('.').map(Number)
  const at0 = limit.findIndex((part, index) => (parts[index] ?? 0) !== part)
  return at0 !== -1 && (parts[at0] ?? 0) < (limit[at0] ?? 0)
}

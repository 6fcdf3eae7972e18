import {createHash, randomBytes} from 'node:crypto'

import {emit, etagOf, type Instance, key, operate, Refused, shown, type FakeOperation, type World} from './incus-world.ts'

export interface Ask {
  readonly world: World
  /** The member that is asked; `none` of a single server. */
  readonly member: string
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly project: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
  readonly client: {
    readonly trusted: boolean
    readonly restricted: boolean
    readonly projects: readonly string[]
    readonly certificate?: Buffer
  }
  readonly server: {readonly fingerprint: string; readonly url: string}
}

export type Told =
  | {readonly type: 'sync'; readonly metadata: unknown; readonly etag?: string; readonly status?: number}
  | {readonly type: 'async'; readonly operation: FakeOperation}
  | {readonly type: 'raw'; readonly content: Buffer; readonly headers?: Readonly<Record<string, string>>}

type Handler = (ask: Ask, names: readonly string[]) => Told | Promise<Told>

const sync = (metadata: unknown = {}): Told => ({type: 'sync', metadata, etag: etagOf(metadata)})
const json = ({body}: Ask): any => JSON.parse(body.toString() || '{}')

const instanceOf = ({world, project}: Ask, name = ''): Instance => {
  const instance = world.instances.get(key(project, name))
  if (!instance) throw new Refused(404, 'Instance not found')
  return instance
}

const statusCodes = {Running: 103, Stopped: 102, Frozen: 110, Error: 112} as const

const isDown = ({world}: Ask, {location}: Instance): boolean => (world.members.get(location)?.status ?? 'Online') === 'Offline'

/** An instance as it goes over the wire; one of a member that is gone is in error. */
const view = (ask: Ask, instance: Instance): Record<string, unknown> => {
  const {name, type, location, config, devices, profiles, created_at, project} = instance
  const status = isDown(ask, instance) ? 'Error' : instance.status
  const profile = profiles.map((one) => ask.world.profiles.get(key(project, one)) ?? ask.world.profiles.get(key('default', one)))
  const expanded = Object.assign({}, ...profile.map((one) => one?.['devices'] ?? {}), devices) as Record<string, unknown>
  return {
    name,
    type,
    location,
    config,
    devices,
    expanded_devices: expanded,
    expanded_config: config,
    profiles,
    created_at,
    project,
    status,
    status_code: statusCodes[status],
    stateful: false,
    ephemeral: false,
    architecture: 'x86_64',
    description: '',
  }
}

const stateOf = ({status, name}: Instance): Record<string, unknown> => ({
  status,
  status_code: statusCodes[status],
  pid: status === 'Running' ? 527 : 0,
  processes: status === 'Running' ? 8 : 0,
  memory: {usage: 23_748_608, total: 536_870_912},
  network:
    status === 'Running'
      ? {
          eth0: {
            addresses: [
              {
                family: 'inet',
                address: `10.88.0.${2 + (createHash('md5').update(name).digest()[0]! % 250)}`,
                netmask: '24',
                scope: 'global',
              },
            ],
            hwaddr: '10:66:6a:91:0e:7f',
          },
        }
      : null,
})

const alive = (ask: Ask, name?: string): Instance => {
  const instance = instanceOf(ask, name)
  if (isDown(ask, instance)) throw new Refused(500, "Server isn't ready yet")
  return instance
}

const matches = ({headers}: Ask, current: unknown): void => {
  const wanted = headers['if-match']
  if (wanted !== undefined && wanted !== '' && wanted !== etagOf(current)) throw new Refused(412, 'ETag doesn\'t match: "x" vs "y"')
}

const checkConfig = (config: Record<string, unknown> = {}): void => {
  for (const value of Object.values(config)) {
    if (typeof value !== 'string')
      throw new Refused(400, `json: cannot unmarshal ${typeof value} into Go struct field InstancesPost.config of type string`)
  }
}

const checkLimits = (ask: Ask, config: Record<string, unknown> = {}): void => {
  const limits = ask.world.projects.get(ask.project)?.config ?? {}
  const most = limits['limits.instances']
  const count = [...ask.world.instances.values()].filter(({project}) => project === ask.project).length
  if (most !== undefined && count >= Number(most)) throw new Refused(500, `Reached maximum number of instances in project "${ask.project}"`)
  for (const name of ['limits.cpu', 'limits.memory']) {
    if (limits[name] !== undefined && config[name] === undefined) {
      throw new Refused(
        500,
        `Failed checking if instance creation allowed: Instance in project "${ask.project}" has no "${name}" config, either directly or via a profile`,
      )
    }
  }
}

const createInstance: Handler = (ask) => {
  const {world, project, query} = ask
  const body = json(ask)
  const name = String(body.name)
  if (!/^[A-Za-z][A-Za-z0-9-]*$/.test(name))
    throw new Refused(400, `Invalid instance name: Name can only contain alphanumeric and hyphen characters`)
  checkConfig(body.config)
  checkLimits(ask, body.config)
  const target = query.get('target') ?? undefined
  if (target !== undefined && !target.startsWith('@') && !world.members.has(target))
    throw new Refused(404, `Cluster member "${target}" not found`)
  const online = [...world.members.values()].filter(({status}) => status === 'Online').map((one) => one.name)
  const count = (member: string): number => [...world.instances.values()].filter(({location}) => location === member).length
  const location = target?.startsWith('@') === false ? target : (online.toSorted((a, b) => count(a) - count(b))[0] ?? 'none')
  return {
    type: 'async',
    operation: operate(world, {
      project,
      location,
      metadata: {},
      act: () => {
        if (body.type === 'virtual-machine' && !world.hasVms)
          throw new Error(
            'Failed creating instance record: Instance type "virtual-machine" is not supported on this server: vhost_vsock kernel module not loaded',
          )
        if (world.instances.has(key(project, name)))
          throw new Error(
            'Failed creating instance record: Add instance info to the database: Failed to create "instances" entry: UNIQUE constraint failed: instances.project_id, instances.name',
          )
        const wanted = body.source?.alias ?? body.source?.fingerprint
        const image = [...world.images].find(
          ([fingerprint, {aliases}]) => wanted === undefined || fingerprint === wanted || aliases.includes(wanted),
        )
        if (body.source?.type === 'image' && !image) throw new Error(`Failed getting image: Image "${wanted}" not found`)
        const pools = Object.values<any>(body.devices ?? {}).flatMap(({pool}) => (pool ? [String(pool)] : []))
        for (const pool of pools)
          if ((world.pools.get(pool)?.used ?? 0) >= (world.pools.get(pool)?.total ?? 1))
            throw new Error('Failed creating instance from image: write /var/lib/incus/storage-pools: no space left on device')
        world.instances.set(key(project, name), {
          name,
          project,
          type: body.type ?? 'container',
          location,
          status: body.start === true ? 'Running' : 'Stopped',
          config: {'volatile.base_image': image?.[0] ?? '', 'volatile.uuid': randomBytes(16).toString('hex'), ...body.config},
          devices: body.devices ?? {},
          profiles: body.profiles ?? ['default'],
          snapshots: [],
          created_at: new Date().toISOString(),
          files: new Map(),
        })
        emit(world, 'lifecycle', project, {action: 'instance-created', source: `/1.0/instances/${name}?project=${project}`}, location)
      },
    }),
  }
}

const changeState: Handler = (ask, [name]) => {
  const instance = alive(ask, name)
  const {action, force} = json(ask)
  const fresh = {start: 'Running', stop: 'Stopped', restart: 'Running', freeze: 'Frozen', unfreeze: 'Running'} as const
  const next = fresh[action as keyof typeof fresh]
  if (next === undefined) throw new Refused(400, `Unknown state action "${action}"`)
  return {
    type: 'async',
    operation: operate(ask.world, {
      project: ask.project,
      location: instance.location,
      act: () => {
        if (action === 'start' && instance.status === 'Running') throw new Error('The instance is already running')
        if (action === 'stop' && instance.status === 'Stopped') throw new Error('The instance is already stopped')
        if (action === 'stop' && force !== true && instance.config['user.test.deaf'] === 'true')
          throw new Error('Failed shutting down instance, status is "Running": context deadline exceeded')
        instance.status = next
        emit(
          ask.world,
          'lifecycle',
          ask.project,
          {
            action: `instance-${{start: 'started', stop: force ? 'stopped' : 'shutdown', restart: 'restarted', freeze: 'paused', unfreeze: 'resumed'}[action as string]}`,
            source: `/1.0/instances/${name}?project=${ask.project}`,
          },
          instance.location,
        )
      },
    }),
  }
}

const replaceInstance: Handler = (ask, [name]) => {
  const instance = alive(ask, name)
  const body = json(ask)
  if (body.restore !== undefined) {
    if (!instance.snapshots.some((one) => one.name === body.restore)) throw new Refused(404, 'Instance snapshot not found')
    return {type: 'async', operation: operate(ask.world, {project: ask.project, location: instance.location, act: () => undefined})}
  }
  matches(ask, view(ask, instance))
  checkConfig(body.config)
  return {
    type: 'async',
    operation: operate(ask.world, {
      project: ask.project,
      location: instance.location,
      act: () =>
        void Object.assign(instance, {
          config: body.config ?? {},
          devices: body.devices ?? {},
          ...(body.profiles && {profiles: body.profiles}),
        }),
    }),
  }
}

const patchInstance: Handler = (ask, [name]) => {
  const instance = alive(ask, name)
  const body = json(ask)
  matches(ask, view(ask, instance))
  checkConfig(body.config)
  Object.assign(instance, {config: {...instance.config, ...body.config}, devices: {...instance.devices, ...body.devices}})
  return sync()
}

const execute: Handler = (ask, [name]) => {
  const {world, project} = ask
  const instance = alive(ask, name)
  if (instance.status !== 'Running') throw new Refused(400, 'Instance is not running')
  const body = json(ask)
  const command = body.command as string[]
  const run = world.commands.get(command[0] ?? '') ?? (() => ({status: 0, stdout: `${command.join(' ')}\n`, stderr: ''}))
  if (body['wait-for-websocket'] === true) {
    const names = body.interactive === true ? ['0', 'control'] : ['0', '1', '2', 'control']
    const fds = Object.fromEntries(names.map((fd) => [fd, randomBytes(32).toString('hex')]))
    return {
      type: 'async',
      operation: operate(world, {
        project,
        location: instance.location,
        mayCancel: true,
        endless: true,
        metadata: {fds, command, interactive: body.interactive === true},
        act: () => undefined,
      }),
    }
  }
  const operation = operate(world, {
    project,
    location: instance.location,
    metadata: {},
    act: (metadata) => {
      const {status, stdout = '', stderr = ''} = run(command)
      // The paths lack the project.
      const base = `/1.0/instances/${name}/logs/exec-output/exec_${operation.id}`
      if (body['record-output'] === true) {
        instance.files.set(`${base}.stdout`, {type: 'file', mode: '0600', content: Buffer.from(stdout)})
        instance.files.set(`${base}.stderr`, {type: 'file', mode: '0600', content: Buffer.from(stderr)})
      }
      Object.assign(metadata, {return: status, ...(body['record-output'] === true && {output: {1: `${base}.stdout`, 2: `${base}.stderr`}})})
      return metadata
    },
  })
  return {type: 'async', operation}
}

const files: Handler = (ask, [name]) => {
  const instance = alive(ask, name)
  const path = ask.query.get('path') ?? ''
  if (ask.method === 'POST') {
    const {'x-incus-type': type = 'file', 'x-incus-mode': mode = '0644'} = ask.headers
    instance.files.set(path, {type: String(type), mode: String(mode), content: ask.body})
    return sync()
  }
  const file = instance.files.get(path)
  if (!file) throw new Refused(404, 'file does not exist')
  if (ask.method === 'DELETE') {
    instance.files.delete(path)
    return sync()
  }
  return {
    type: 'raw',
    content: file.content,
    headers: {'x-incus-type': file.type, 'x-incus-mode': file.mode, 'x-incus-uid': '0', 'x-incus-gid': '0'},
  }
}

const execOutput: Handler = (ask, [name, log]) => {
  const file = instanceOf(ask, name).files.get(`/1.0/instances/${name}/logs/exec-output/${log}`)
  if (!file) throw new Refused(404, 'Not Found')
  return {type: 'raw', content: file.content}
}

const listInstances: Handler = (ask) => {
  const all = ask.query.get('all-projects') === 'true'
  const [, wantedKey, wanted] = /^config\.(.+?)(?: |\+)eq(?: |\+)(.+)$/.exec(ask.query.get('filter') ?? '') ?? []
  const chosen = [...ask.world.instances.values()].filter(
    ({project, config}) => (all || project === ask.project) && (wantedKey === undefined || config[wantedKey] === wanted),
  )
  const recursion = Number(ask.query.get('recursion') ?? 0)
  if (recursion === 0) return sync(chosen.map(({name}) => `/1.0/instances/${name}`))
  return sync(
    chosen.map((one) => ({
      ...view(ask, one),
      ...(recursion > 1 && {state: isDown(ask, one) ? null : stateOf(one), snapshots: one.snapshots}),
    })),
  )
}

const removeInstance: Handler = (ask, [name]) => {
  const instance = alive(ask, name)
  if (instance.status === 'Running') throw new Refused(400, 'Instance is running')
  return {
    type: 'async',
    operation: operate(ask.world, {
      project: ask.project,
      location: instance.location,
      act: () => {
        ask.world.instances.delete(key(ask.project, name ?? ''))
        emit(
          ask.world,
          'lifecycle',
          ask.project,
          {action: 'instance-deleted', source: `/1.0/instances/${name}?project=${ask.project}`},
          instance.location,
        )
      },
    }),
  }
}

const uploadImage: Handler = (ask) => {
  const {world, body, headers} = ask
  const type = String(headers['content-type'] ?? '')
  const isSplit = type.startsWith('multipart/form-data')
  const boundary = /boundary=(?<value>[^;]+)/.exec(type)?.groups?.['value'] ?? ''
  const parts = isSplit ? partsOf(body, boundary) : [{name: 'rootfs', content: body}]
  const fingerprint = createHash('sha256')
    .update(Buffer.concat(parts.map(({content}) => content)))
    .digest('hex')
  const isVm = parts.some(({name}) => name === 'rootfs.img')
  return {
    type: 'async',
    operation: operate(world, {
      project: ask.project,
      location: ask.member,
      metadata: {},
      act: () => {
        if (world.images.has(fingerprint)) throw new Error('Image with same fingerprint already exists')
        // X-Incus-aliases says nothing to it.
        world.images.set(fingerprint, {type: isVm ? 'virtual-machine' : 'container', size: body.length, aliases: []})
        return {fingerprint, size: String(body.length)}
      },
    }),
  }
}

const partsOf = (body: Buffer, boundary: string): {name: string; content: Buffer}[] => {
  const text = body.toString('latin1')
  return text.split(`--${boundary}`).flatMap((part) => {
    const [head = '', ...rest] = part.split('\r\n\r\n')
    const name = /name="(?<name>[^"]+)"/.exec(head)?.groups?.['name']
    return name === undefined ? [] : [{name, content: Buffer.from(rest.join('\r\n\r\n').replace(/\r\n$/, ''), 'latin1')}]
  })
}

const server: Handler = ({world, client, member, server: own}) => {
  const open = {
    auth: client.trusted ? 'trusted' : 'untrusted',
    auth_methods: ['tls'],
    api_version: '1.0',
    api_extensions: ['instances', 'projects'],
  }
  if (!client.trusted) return sync(open)
  return sync({
    ...open,
    config: client.restricted ? {} : world.config,
    auth_user_name: 'vmctl',
    environment: {
      addresses: [own.url.replace('https://', '')],
      certificate_fingerprint: own.fingerprint,
      driver: world.hasVms ? 'lxc | qemu' : 'lxc',
      driver_version: '6.0.4',
      kernel: 'Linux',
      server: 'incus',
      server_clustered: world.members.size > 0,
      server_name: member === 'none' ? 's1' : member,
      server_version: world.version,
      storage: 'dir',
      architectures: ['x86_64', 'i686'],
    },
  })
}

const members: Handler = ({world}) =>
  sync(
    [...world.members.values()].map(({name, url, status, message}) => ({
      server_name: name,
      url,
      status,
      message: message ?? (status === 'Online' ? 'Fully operational' : 'No heartbeat for 42s'),
      roles: ['database'],
      groups: ['default'],
      architecture: 'x86_64',
      failure_domain: 'default',
      database: true,
      config: {},
      description: '',
    })),
  )

const requireFull = ({client}: Ask): void => {
  if (client.restricted) throw new Refused(403, 'Certificate is restricted')
}

const addCertificate: Handler = (ask) => {
  const {world, client} = ask
  const body = json(ask)
  if (body.token === true) {
    requireFull(ask)
    const secret = randomBytes(32).toString('hex')
    world.tokens.set(secret, String(body.name))
    return {
      type: 'async',
      operation: operate(world, {
        project: 'default',
        location: ask.member,
        mayCancel: true,
        endless: true,
        metadata: {
          addresses: [ask.server.url.replace('https://', '')],
          fingerprint: ask.server.fingerprint,
          secret,
          request: {name: body.name},
          expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
        },
        act: () => undefined,
      }),
    }
  }
  if (body.trust_token !== undefined) {
    const {secret} = JSON.parse(Buffer.from(String(body.trust_token), 'base64').toString() || '{}') as {secret?: string}
    const name = world.tokens.get(secret ?? '')
    if (name === undefined || !client.certificate) throw new Refused(403, 'not authorized')
    const fingerprint = createHash('sha256').update(client.certificate).digest('hex')
    if (world.trusted.has(fingerprint)) throw new Refused(400, 'Certificate already in trust store')
    world.tokens.delete(secret ?? '')
    world.trusted.set(fingerprint, {name, restricted: false, projects: []})
    return sync()
  }
  if (!client.trusted) throw new Refused(403, 'not authorized')
  requireFull(ask)
  const der = Buffer.from(String(body.certificate), 'base64')
  world.trusted.set(createHash('sha256').update(der).digest('hex'), {
    name: String(body.name),
    restricted: body.restricted === true,
    projects: body.projects ?? [],
  })
  return sync()
}

const waitFor: Handler = async (ask, [id]) => {
  const operation = ask.world.operations.get(id ?? '')
  if (!operation) throw new Refused(404, 'Operation not found')
  const seconds = Number(ask.query.get('timeout') ?? -1)
  const elapsed = Promise.withResolvers<string>()
  const timer = seconds < 0 ? undefined : setTimeout(() => elapsed.resolve('time'), seconds * 1000)
  const first = await Promise.race([operation.ended.then(() => 'ended'), elapsed.promise])
  clearTimeout(timer)
  // Both with status 200: that the time was up, and that it has failed.
  if (first === 'time') throw new Refused(200, 'context deadline exceeded')
  if (operation.err !== '') throw new Refused(200, operation.err)
  return {type: 'sync', metadata: shown(operation)}
}

const operationOf: Handler = ({world}, [id]) => {
  const operation = world.operations.get(id ?? '')
  if (!operation) throw new Refused(404, 'Operation not found')
  return {type: 'sync', metadata: shown(operation)}
}

const cancelOperation: Handler = ({world}, [id]) => {
  const operation = world.operations.get(id ?? '')
  if (!operation) throw new Refused(404, 'Operation not found')
  if (!operation.may_cancel) throw new Refused(400, "This operation can't be cancelled")
  operation.end(401, '')
  return sync()
}

const createVolume: Handler = (ask, [pool = '']) => {
  const body = json(ask)
  const place = key(ask.project, pool, String(body.name))
  if (!ask.world.pools.has(pool)) throw new Refused(404, 'Storage pool not found')
  if (ask.world.volumes.has(place)) throw new Refused(409, 'Volume by that name already exists')
  ask.world.volumes.set(place, {
    name: body.name,
    project: ask.project,
    pool,
    content_type: body.content_type ?? 'filesystem',
    location: ask.query.get('target') ?? ask.member,
    config: body.config ?? {},
  })
  return sync()
}

const volumeOf = (ask: Ask, [pool = '', name = '']: readonly string[]) => {
  const volume = ask.world.volumes.get(key(ask.project, pool, name))
  if (!volume) throw new Refused(404, 'Storage volume not found')
  return volume
}

const createProject: Handler = (ask) => {
  requireFull(ask)
  const body = json(ask)
  if (ask.world.projects.has(body.name)) throw new Refused(409, `Project "${body.name}" already exists`)
  ask.world.projects.set(body.name, {config: body.config ?? {}})
  return sync()
}

const projects: Handler = ({world, client}) =>
  sync(
    [...world.projects]
      .filter(([name]) => !client.restricted || client.projects.includes(name))
      .map(([name, {config}]) => ({name, config, description: '', used_by: []})),
  )

const createAlias: Handler = (ask) => {
  const body = json(ask)
  const image = ask.world.images.get(body.target)
  if (!image) throw new Refused(404, 'Image not found')
  if ([...ask.world.images.values()].some(({aliases}) => aliases.includes(body.name)))
    throw new Refused(409, `Alias "${body.name}" already exists`)
  image.aliases.push(body.name)
  return sync()
}

const findAlias: Handler = ({world}, [name = '']) => {
  const found = [...world.images].find(([, {aliases}]) => aliases.includes(name))
  if (!found) throw new Refused(404, 'Image alias not found')
  return sync({name, target: found[0], type: found[1].type})
}

const findImage: Handler = ({world}, [fingerprint = '']) => {
  const image = world.images.get(fingerprint)
  if (!image) throw new Refused(404, 'Image not found')
  return sync({fingerprint, ...image, aliases: image.aliases.map((name) => ({name}))})
}

const pools: Handler = ({world}) =>
  sync(
    [...world.pools].map(([name, {driver, config}]) => ({
      name,
      driver,
      config,
      status: 'Created',
      locations: [...world.members.keys()],
      used_by: [],
    })),
  )

const poolResources: Handler = ({world}, [name = '']) => {
  const pool = world.pools.get(name)
  if (!pool) throw new Refused(404, 'Storage pool not found')
  return sync({space: {used: pool.used, total: pool.total}, inodes: {}})
}

const profile: Handler = (ask, [name = '']) => {
  const place = key(ask.project, name)
  if (ask.method === 'GET') {
    const found = ask.world.profiles.get(place)
    if (!found) throw new Refused(404, 'Profile not found')
    return sync(found)
  }
  const body = json(ask)
  const current = ask.world.profiles.get(place)
  if (current) matches(ask, current)
  ask.world.profiles.set(place, {...current, name, ...body})
  return sync()
}

const network: Handler = (ask, [name = '']) => {
  const found = ask.world.networks.get(name)
  if (!found) throw new Refused(404, 'Network not found')
  const usedBy = [...ask.world.instances.values()].filter(({devices}) => Object.values(devices).some((one) => one['network'] === name))
  if (ask.method === 'DELETE') {
    if (usedBy.length > 0) throw new Refused(400, 'The network is currently in use')
    ask.world.networks.delete(name)
  }
  return sync({...found, used_by: usedBy.map((one) => `/1.0/instances/${one.name}`)})
}

const createNetwork: Handler = (ask) => {
  const body = json(ask)
  if (ask.query.get('target') !== null) return sync()
  if (ask.world.networks.has(body.name)) throw new Refused(400, 'The network already exists')
  ask.world.networks.set(body.name, {managed: true, ...body})
  return sync()
}

const snapshot: Handler = (ask, [name]) => {
  const instance = alive(ask, name)
  const body = json(ask)
  return {
    type: 'async',
    operation: operate(ask.world, {
      project: ask.project,
      location: instance.location,
      act: () => void instance.snapshots.push({name: body.name, stateful: body.stateful === true}),
    }),
  }
}

const removeSnapshot: Handler = (ask, [name, wanted]) => {
  const instance = alive(ask, name)
  if (!instance.snapshots.some((one) => one.name === wanted)) throw new Refused(404, 'Instance snapshot not found')
  return {
    type: 'async',
    operation: operate(ask.world, {
      project: ask.project,
      location: instance.location,
      act: () => void (instance.snapshots = instance.snapshots.filter((one) => one.name !== wanted)),
    }),
  }
}

/** Method, path, what is done. A `*` is one name. */
export const routes: readonly (readonly [string, string, Handler])[] = [
  ['GET', '/1.0', server],
  ['PUT', '/1.0', (ask) => (Object.assign(ask.world.config, json(ask).config), sync())],
  ['PATCH', '/1.0', (ask) => (Object.assign(ask.world.config, json(ask).config), sync())],
  ['GET', '/1.0/cluster/members', members],
  ['GET', '/1.0/warnings', (ask) => (requireFull(ask), sync(ask.world.warnings))],
  ['GET', '/1.0/projects', projects],
  ['POST', '/1.0/projects', createProject],
  [
    'GET',
    '/1.0/projects/*',
    ({world}, [name = '']) => {
      const found = world.projects.get(name)
      if (!found) throw new Refused(404, 'Project not found')
      return sync({name, ...found})
    },
  ],
  ['DELETE', '/1.0/projects/*', (ask, [name = '']) => (ask.world.projects.delete(name), sync())],
  ['POST', '/1.0/certificates', addCertificate],
  [
    'GET',
    '/1.0/certificates',
    (ask) => sync([...ask.world.trusted].map(([fingerprint, entry]) => ({fingerprint, type: 'client', ...entry}))),
  ],
  [
    'GET',
    '/1.0/certificates/*',
    (ask, [fingerprint = '']) => {
      const found = ask.world.trusted.get(fingerprint)
      if (!found) throw new Refused(404, 'Certificate not found')
      return sync({fingerprint, type: 'client', ...found})
    },
  ],
  ['DELETE', '/1.0/certificates/*', (ask, [fingerprint = '']) => (requireFull(ask), ask.world.trusted.delete(fingerprint), sync())],
  ['GET', '/1.0/storage-pools', pools],
  ['GET', '/1.0/storage-pools/*/resources', poolResources],
  ['POST', '/1.0/storage-pools/*/volumes/custom', createVolume],
  ['GET', '/1.0/storage-pools/*/volumes/custom/*', (ask, names) => sync({type: 'custom', ...volumeOf(ask, names)})],
  [
    'DELETE',
    '/1.0/storage-pools/*/volumes/custom/*',
    (ask, names) => (volumeOf(ask, names), ask.world.volumes.delete(key(ask.project, ...names)), sync()),
  ],
  ['GET', '/1.0/networks', ({world}) => sync([...world.networks.values()])],
  ['POST', '/1.0/networks', createNetwork],
  ['GET', '/1.0/networks/*', network],
  ['DELETE', '/1.0/networks/*', network],
  ['GET', '/1.0/profiles/*', profile],
  ['PUT', '/1.0/profiles/*', profile],
  ['POST', '/1.0/images', uploadImage],
  ['POST', '/1.0/images/aliases', createAlias],
  ['GET', '/1.0/images/aliases/*', findAlias],
  ['GET', '/1.0/images/*', findImage],
  [
    'DELETE',
    '/1.0/images/*',
    (ask, [fingerprint = '']) => ({
      type: 'async',
      operation: operate(ask.world, {project: ask.project, location: ask.member, act: () => void ask.world.images.delete(fingerprint)}),
    }),
  ],
  ['GET', '/1.0/instances', listInstances],
  ['POST', '/1.0/instances', createInstance],
  ['GET', '/1.0/instances/*', (ask, [name]) => sync(view(ask, alive(ask, name)))],
  ['PUT', '/1.0/instances/*', replaceInstance],
  ['PATCH', '/1.0/instances/*', patchInstance],
  ['DELETE', '/1.0/instances/*', removeInstance],
  ['GET', '/1.0/instances/*/state', (ask, [name]) => sync(stateOf(alive(ask, name)))],
  ['PUT', '/1.0/instances/*/state', changeState],
  ['POST', '/1.0/instances/*/snapshots', snapshot],
  ['DELETE', '/1.0/instances/*/snapshots/*', removeSnapshot],
  ['POST', '/1.0/instances/*/exec', execute],
  ['GET', '/1.0/instances/*/files', files],
  ['POST', '/1.0/instances/*/files', files],
  ['DELETE', '/1.0/instances/*/files', files],
  ['GET', '/1.0/instances/*/logs/exec-output/*', execOutput],
  ['GET', '/1.0/instances/*/console', (ask, [name]) => (alive(ask, name), {type: 'raw', content: Buffer.from('login: ')})],
  [
    'POST',
    '/1.0/instances/*/console',
    (ask, [name]) => {
      const instance = alive(ask, name)
      return {
        type: 'async',
        operation: operate(ask.world, {
          project: ask.project,
          location: instance.location,
          mayCancel: true,
          endless: true,
          metadata: {fds: {0: randomBytes(32).toString('hex'), control: randomBytes(32).toString('hex')}, console: true},
          act: () => undefined,
        }),
      }
    },
  ],
  ['GET', '/1.0/operations', ({world}) => sync({running: [...world.operations.keys()].map((id) => `/1.0/operations/${id}`)})],
  ['GET', '/1.0/operations/*', operationOf],
  ['DELETE', '/1.0/operations/*', cancelOperation],
  ['GET', '/1.0/operations/*/wait', waitFor],
]

/** What happens in answer to a request. */
export const answer = (ask: Ask): Told | Promise<Told> => {
  const words = ask.path.split('/').map(decodeURIComponent)
  for (const [method, pattern, handler] of routes) {
    const wanted = pattern.split('/')
    if (method !== ask.method || wanted.length !== words.length) continue
    if (!wanted.every((word, index) => word === '*' || word === words[index])) continue
    return handler(
      ask,
      words.filter((_word, index) => wanted[index] === '*'),
    )
  }
  throw new Refused(404, 'Not Found')
}

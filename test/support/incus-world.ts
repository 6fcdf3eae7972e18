import {createHash, randomBytes, randomUUID} from 'node:crypto'
import {EventEmitter} from 'node:events'

/** What a fake Incus server, or the members of a fake cluster, have in common: the database. Written anew from what a real 6.0.4 says. */
export interface World {
  readonly members: Map<string, Member>
  readonly projects: Map<string, {config: Record<string, string>}>
  /** By project and name, as `key` makes them. */
  readonly instances: Map<string, Instance>
  readonly images: Map<string, {type: string; size: number; aliases: string[]}>
  readonly volumes: Map<string, Volume>
  readonly networks: Map<string, Record<string, unknown>>
  readonly profiles: Map<string, Record<string, unknown>>
  readonly pools: Map<string, {driver: string; config: Record<string, string>; total: number; used: number}>
  readonly trusted: Map<string, {name: string; restricted: boolean; projects: readonly string[]}>
  readonly tokens: Map<string, string>
  readonly operations: Map<string, FakeOperation>
  readonly warnings: {type: string; last_message: string}[]
  readonly events: EventEmitter
  /** What instances print when they execute something: by the first word of the command. */
  readonly commands: Map<string, (command: readonly string[]) => {status: number; stdout?: string; stderr?: string}>
  readonly config: Record<string, string>
  version: string
  hasVms: boolean
  /** Milliseconds that an operation takes, and for which it is remembered. */
  operationMs: number
  rememberMs: number
}

export interface Member {
  readonly name: string
  url: string
  status: string
  message?: string
}

export interface Instance {
  name: string
  readonly project: string
  readonly type: string
  location: string
  status: 'Running' | 'Stopped' | 'Frozen' | 'Error'
  config: Record<string, string>
  devices: Record<string, Record<string, string>>
  profiles: readonly string[]
  snapshots: {name: string; stateful: boolean}[]
  readonly created_at: string
  readonly files: Map<string, {type: string; mode: string; content: Buffer}>
}

export interface Volume {
  readonly name: string
  readonly project: string
  readonly pool: string
  readonly content_type: string
  location: string
  config: Record<string, string>
}

export interface FakeOperation {
  readonly id: string
  readonly project: string
  readonly location: string
  status_code: number
  err: string
  metadata: Record<string, unknown> | null
  readonly may_cancel: boolean
  readonly ended: Promise<unknown>
  readonly end: (status: number, err: string) => void
}

export const key = (...parts: readonly string[]): string => parts.join('\0')

export const makeWorld = (members: readonly string[] = []): World => ({
  members: new Map(members.map((name) => [name, {name, url: '', status: 'Online'}])),
  projects: new Map([['default', {config: {}}]]),
  instances: new Map(),
  images: new Map(),
  volumes: new Map(),
  networks: new Map([
    ['incusbr0', {name: 'incusbr0', type: 'bridge', managed: true, config: {'ipv4.address': '10.88.0.1/24', 'ipv4.nat': 'true'}}],
  ]),
  profiles: new Map([
    [
      key('default', 'default'),
      {
        name: 'default',
        config: {},
        devices: {root: {type: 'disk', path: '/', pool: 'default'}, eth0: {type: 'nic', network: 'incusbr0', name: 'eth0'}},
      },
    ],
  ]),
  pools: new Map([['default', {driver: 'dir', config: {}, total: 100 * 2 ** 30, used: 2 ** 30}]]),
  trusted: new Map(),
  tokens: new Map(),
  operations: new Map(),
  warnings: [],
  events: new EventEmitter().setMaxListeners(0),
  commands: new Map(),
  config: {},
  version: '6.0.4',
  hasVms: false,
  operationMs: 5,
  rememberMs: 5000,
})

const describe: Readonly<Record<number, string>> = {103: 'Running', 200: 'Success', 400: 'Failure', 401: 'Cancelled'}

/** An operation as it goes over the wire. */
export const shown = (operation: FakeOperation): Record<string, unknown> => ({
  id: operation.id,
  class: 'task',
  description: 'Doing something',
  status: describe[operation.status_code],
  status_code: operation.status_code,
  metadata: operation.metadata,
  may_cancel: operation.may_cancel,
  err: operation.err,
  location: operation.location,
})

/** What a server refuses, by HTTP status and words. */
export class Refused extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export interface Job {
  readonly project: string
  readonly location: string
  readonly metadata?: Record<string, unknown>
  readonly mayCancel?: boolean
  /** Milliseconds; that of the world when absent. */
  readonly ms?: number
  /** Ends by itself only when somebody cancels it. */
  readonly endless?: boolean
  readonly act: (metadata: Record<string, unknown>) => unknown
}

/** Begins an operation. Its failure is its result, also when the reason was wrong input. */
export const operate = (world: World, {project, location, metadata, mayCancel = false, ms, endless = false, act}: Job): FakeOperation => {
  const {promise, resolve} = Promise.withResolvers<undefined>()
  const operation: FakeOperation = {
    id: randomUUID(),
    project,
    location,
    status_code: 103,
    err: '',
    metadata: metadata ?? null,
    may_cancel: mayCancel,
    ended: promise,
    end: (status, err) => end(status, err),
  }
  const end = (status: number, err: string): void => {
    if (operation.status_code !== 103) return
    Object.assign(operation, {status_code: status, err})
    // The order of events is not that of what happened.
    emit(world, 'operation', project, shown(operation))
    emit(world, 'operation', project, {...shown(operation), status: 'Running', status_code: 103, err: ''})
    resolve(undefined)
    setTimeout(() => world.operations.delete(operation.id), world.rememberMs).unref()
  }
  world.operations.set(operation.id, operation)
  const finish = async (): Promise<void> => {
    try {
      const result = await act(operation.metadata ?? {})
      if (typeof result === 'object' && result !== null)
        operation.metadata = {...operation.metadata, ...(result as Record<string, unknown>)}
      end(200, '')
    } catch (error) {
      end(400, error instanceof Error ? error.message : String(error))
    }
  }
  if (!endless) setTimeout(() => void finish(), ms ?? world.operationMs)
  return operation
}

export const emit = (world: World, type: string, project: string, metadata: unknown, location = 'none'): void => {
  world.events.emit('event', {type, timestamp: new Date().toISOString(), project, location, metadata})
}

export const etagOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex')

export const makeToken = (world: World, name: string, fingerprint: string, addresses: readonly string[]): string => {
  const secret = randomBytes(32).toString('hex')
  world.tokens.set(secret, name)
  const expires = new Date(Date.now() + 3_600_000).toISOString()
  return Buffer.from(JSON.stringify({client_name: name, fingerprint, addresses, secret, expires_at: expires})).toString('base64')
}

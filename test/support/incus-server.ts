import {createHash, X509Certificate} from 'node:crypto'
import {once} from 'node:events'
import {rm} from 'node:fs/promises'
import {createServer as createPlain, type IncomingMessage, type Server, type ServerResponse} from 'node:http'
import {createServer as createSecure} from 'node:https'
import type {AddressInfo} from 'node:net'
import {buffer} from 'node:stream/consumers'
import type {TLSSocket} from 'node:tls'

import {makeCredentials} from '../../src/hypervisor/incus/api/certificate.ts'
import {type Ask, answer, type Told} from './incus-routes.ts'
import {makeToken, makeWorld, Refused, shown, type World} from './incus-world.ts'
import {acceptSocket, type ServerSocket} from './websocket-server.ts'

/**
 * What goes wrong with a request: the connection is cut before anything is done (`cut`) or once it is done (`cut-answer`), nothing is
 * ever answered (`silence`), or the server answers so.
 */
export type Fault = 'cut' | 'cut-answer' | 'silence' | {readonly status: number; readonly error: string} | {readonly html: string}

export interface FakeIncusOptions {
  /** What it shares with the other members of its cluster. */
  readonly world?: World
  /** Its name in a cluster. */
  readonly member?: string
  /** A path at which it listens too, without asking for trust. */
  readonly socketPath?: string
  /** What it shows: PEM. Members of a cluster show the same. */
  readonly credentials?: {readonly certificate: string; readonly key: string}
}

/** A server that behaves like a captured Incus 6.0.4, as far as vmctl uses it. */
export interface FakeIncus extends AsyncDisposable {
  readonly world: World
  readonly url: string
  readonly fingerprint: string
  /** Requests so far: `GET /1.0/instances?recursion=2`. */
  readonly requests: readonly string[]
  /** The most that it has worked on at once, waiting apart. */
  readonly mostAtOnce: number
  token(name: string): string
  /** The next requests (one, unless said otherwise) that fit go wrong. */
  fail(pattern: RegExp, fault: Fault, times?: number): void
  /** Cuts all connections and refuses new ones. */
  stop(): Promise<void>
  /** Listens again at the same place; with another certificate when one is given. */
  start(credentials?: {readonly certificate: string; readonly key: string}): Promise<void>
}

export const startIncus = async (options: FakeIncusOptions = {}): Promise<FakeIncus> => {
  const {world = makeWorld(), member = 'none', socketPath} = options
  let credentials = options.credentials ?? makeCredentials('incus')
  const requests: string[] = []
  const faults: {pattern: RegExp; fault: Fault; left: number}[] = []
  let working = 0
  let mostAtOnce = 0
  let port = 0
  let servers: Server[] = []
  const own = {
    get fingerprint() {
      return new X509Certificate(credentials.certificate).fingerprint256.replaceAll(':', '').toLowerCase()
    },
    get url() {
      return `https://127.0.0.1:${port}`
    },
  }

  const faultOf = (line: string): Fault | undefined => {
    const found = faults.find(({pattern, left}) => left > 0 && pattern.test(line))
    if (!found) return undefined
    found.left -= 1
    return found.fault
  }

  const clientOf = (request: IncomingMessage): Ask['client'] => {
    if (!('getPeerX509Certificate' in request.socket)) return {trusted: true, restricted: false, projects: []}
    const certificate = (request.socket as TLSSocket).getPeerX509Certificate()?.raw
    const entry = certificate && world.trusted.get(createHash('sha256').update(certificate).digest('hex'))
    return {
      trusted: entry !== undefined,
      restricted: entry?.restricted ?? false,
      projects: entry?.projects ?? [],
      ...(certificate && {certificate}),
    }
  }

  const checkTrust = ({client, path, method, project}: Ask): void => {
    if (path === '/1.0' || (path === '/1.0/certificates' && method === 'POST')) return
    if (!client.trusted) throw new Refused(403, 'not authorized')
    if (client.restricted && path !== '/1.0/projects' && !path.startsWith('/1.0/operations') && !client.projects.includes(project)) {
      throw new Refused(403, `User does not have permissions for project "${project}"`)
    }
  }

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const line = `${request.method} ${request.url}`
    requests.push(line)
    const fault = faultOf(line)
    if (fault === 'cut') return void request.socket.destroy()
    if (fault === 'silence') return
    if (typeof fault === 'object')
      return 'html' in fault
        ? void response.writeHead(200, {'content-type': 'text/html'}).end(fault.html)
        : refuse(response, new Refused(fault.status, fault.error))
    const {pathname, searchParams} = new URL(request.url ?? '', 'http://incus')
    const ask: Ask = {
      world,
      member,
      method: request.method ?? '',
      path: pathname,
      query: searchParams,
      project: searchParams.get('project') ?? 'default',
      headers: request.headers,
      body: await buffer(request),
      client: clientOf(request),
      server: own,
    }
    try {
      checkTrust(ask)
      const told = await answer(ask)
      if (fault === 'cut-answer') return void request.socket.destroy()
      tell(response, told)
    } catch (error) {
      refuse(response, error)
    }
  }

  const tell = (response: ServerResponse, told: Told): void => {
    if (told.type === 'raw')
      return void response.writeHead(200, {'content-type': 'application/octet-stream', ...told.headers}).end(told.content)
    if (told.type === 'sync') {
      const {metadata, etag, status = 200} = told
      return void response
        .writeHead(status, {'content-type': 'application/json', ...(etag !== undefined && {etag})})
        .end(JSON.stringify({type: 'sync', status: 'Success', status_code: 200, operation: '', error_code: 0, error: '', metadata}))
    }
    const {operation} = told
    // One that another member works on comes with a query.
    const forwarded = world.members.size > 0 && operation.location !== member
    const address = `/1.0/operations/${operation.id}${forwarded ? `?project=${operation.project}` : ''}`
    response.writeHead(202, {'content-type': 'application/json', location: address}).end(
      JSON.stringify({
        type: 'async',
        status: 'Operation created',
        status_code: 100,
        operation: address,
        error_code: 0,
        error: '',
        metadata: shown(operation),
      }),
    )
  }

  const upgrade = (request: IncomingMessage, connection: ServerSocket): void => {
    const {pathname, searchParams} = new URL(request.url ?? '', 'http://incus')
    if (pathname === '/1.0/events') return follow(connection, searchParams)
    const operation = world.operations.get(pathname.split('/')[3] ?? '')
    const fds = operation?.metadata?.['fds'] as Record<string, string> | undefined
    const [fd] = Object.entries(fds ?? {}).find(([, secret]) => secret === searchParams.get('secret')) ?? []
    if (!operation || fd === undefined) return connection.cut()
    attach(world, {operation, fd, connection})
  }

  const follow = (connection: ServerSocket, query: URLSearchParams): void => {
    const types = query.get('type')?.split(',')
    const listener = (event: {type: string; project: string}): void => {
      if (types && !types.includes(event.type)) return
      if (query.get('all-projects') === 'true' || event.project === (query.get('project') ?? 'default'))
        connection.send(JSON.stringify(event))
    }
    world.events.on('event', listener)
    world.events.once('cut', () => connection.cut())
    connection.onClose(() => world.events.off('event', listener))
  }

  const listen = async (): Promise<void> => {
    const serve = (request: IncomingMessage, response: ServerResponse): void => {
      const isWait = request.url?.includes('/wait') ?? false
      if (!isWait) mostAtOnce = Math.max(mostAtOnce, ++working)
      void handle(request, response).finally(() => (isWait ? undefined : working--))
    }
    const secure = createSecure({cert: credentials.certificate, key: credentials.key, requestCert: true, rejectUnauthorized: false}, serve)
    const plain = socketPath === undefined ? undefined : createPlain(serve)
    servers = [secure, ...(plain ? [plain] : [])]
    for (const server of servers) {
      server.on('upgrade', (request, connection) => {
        requests.push(`WS ${request.url}`)
        if (!clientOf(request).trusted) return void connection.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n')
        upgrade(request, acceptSocket(request, connection))
      })
      server
        .on('connection', (connection) => {
          server.on('stop', () => connection.destroy())
        })
        .setMaxListeners(0)
    }
    secure.listen(port, '127.0.0.1')
    await once(secure, 'listening')
    port = (secure.address() as AddressInfo).port
    if (plain) {
      await rm(socketPath!, {force: true})
      plain.listen(socketPath)
      await once(plain, 'listening')
    }
    const entry = world.members.get(member)
    if (entry) entry.url = own.url
  }

  const stop = async (): Promise<void> => {
    await Promise.all(
      servers.splice(0).map(async (server) => {
        const closed = once(server, 'close')
        server.close()
        server.emit('stop')
        await closed
      }),
    )
  }

  await listen()
  return {
    world,
    requests,
    get url() {
      return own.url
    },
    get fingerprint() {
      return own.fingerprint
    },
    get mostAtOnce() {
      return mostAtOnce
    },
    token: (name) => makeToken(world, name, own.fingerprint, [own.url.replace('https://', '')]),
    fail: (pattern, fault, times = 1) => void faults.push({pattern, fault, left: times}),
    stop,
    async start(fresh = credentials) {
      credentials = fresh
      await listen()
    },
    [Symbol.asyncDispose]: stop,
  }
}

const refuse = (response: ServerResponse, error: unknown): void => {
  const status = error instanceof Refused ? error.status : 500
  const message = error instanceof Error ? error.message : String(error)
  response.writeHead(status, {'content-type': 'application/json'}).end(
    JSON.stringify({
      type: 'error',
      status: '',
      status_code: 0,
      operation: '',
      error_code: status === 200 ? 500 : status,
      error: message,
      metadata: null,
    }),
  )
}

/** What is at the other end of the sockets of an operation: an echo of what comes in, or the output of the command. */
const attach = (
  world: World,
  {operation, fd, connection}: {operation: ReturnType<World['operations']['get']> & {}; fd: string; connection: ServerSocket},
): void => {
  const state = (states.get(operation.id) ?? states.set(operation.id, new Map()).get(operation.id))!
  state.set(fd, connection)
  const metadata = operation.metadata as {command?: string[]; interactive?: boolean; fds: Record<string, string>; return?: number}
  connection.ping()
  if (metadata.command === undefined)
    return connection.onMessage(({isText, data}) => (isText && data.length === 0 ? connection.send('') : connection.send(data)))
  if (state.size < Object.keys(metadata.fds).length) return
  const {status, stdout, stderr} = world.commands.get(metadata.command[0] ?? '')?.(metadata.command) ?? {status: 0}
  const finish = (): void => {
    metadata.return = status
    if (metadata.interactive === true) {
      state.get('0')?.send('')
      // It ends only once the client has closed.
      state.get('0')?.onClose(() => operation.end(200, ''))
    } else {
      for (const out of ['1', '2']) state.get(out)?.send('')
      operation.end(200, '')
    }
  }
  const output = state.get(metadata.interactive === true ? '0' : '1')
  if (stdout !== undefined) output?.send(Buffer.from(stdout))
  if (stderr !== undefined) state.get('2')?.send(Buffer.from(stderr))
  if (stdout !== undefined) return finish()
  // Without words of its own it is an echo.
  state.get('0')?.onMessage(({isText, data}) => (isText && data.length === 0 ? finish() : output?.send(data)))
}

const states = new Map<string, Map<string, ServerSocket>>()

import {execFileSync, spawn} from 'node:child_process'
import {createSign, randomUUID} from 'node:crypto'
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http'
import type {AddressInfo} from 'node:net'
import {connect, createServer as createTcpServer} from 'node:net'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

/** The user of a registry that wants one. */
export const login = {user: 'anna', password: 'correct horse'} as const

/** bcrypt, the only kind that the registry reads. */
const hash = '$2b$04$3L3N/QnEbHTQHzKyP8021OPf3NqYQEKZtHGsK8uSbGBIiXG0n781y'

export interface OciRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string
}

export interface TokenServer extends AsyncDisposable {
  readonly origin: string
  /** The certificate with which the registry believes the tokens. */
  readonly certificate: string
  readonly requests: {readonly method: string; readonly url: string; readonly authorization: string | undefined; readonly body: string}[]
  /** Seconds that tokens are good for. */
  lifetime: number
}

/** A server that gives out tokens: to pull to everybody, to push to `login`, or to whoever has the identity token `the-identity`. */
export const startTokenServer = async (directory: string): Promise<TokenServer> => {
  const [key, certificate] = [join(directory, 'token-key.pem'), join(directory, 'token-cert.pem')]
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=tokens', '-keyout', key, '-out', certificate],
    {
      stdio: 'ignore',
    },
  )
  const requests: TokenServer['requests'] = []
  const server = createServer((request, response) => void answer(request, response))
  const port = await listen(server)
  const tokens: TokenServer = {
    origin: `http://127.0.0.1:${port}`,
    certificate,
    requests,
    lifetime: 300,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const {authorization} = request.headers
    requests.push({method: request.method ?? '', url: request.url ?? '', authorization, body})
    const query = request.method === 'POST' ? new URLSearchParams(body) : new URL(request.url ?? '', tokens.origin).searchParams
    const isUser = authorization === `Basic ${Buffer.from(`${login.user}:${login.password}`).toString('base64')}`
    const isKnown = isUser || query.get('refresh_token') === 'the-identity'
    if ((authorization !== undefined || query.has('refresh_token')) && !isKnown) {
      response.writeHead(401).end('{"details":"wrong"}')
      return
    }
    const [type = '', name = '', actions = ''] = (query.get('scope') ?? '').split(':')
    const granted = actions.split(',').filter((action) => action === 'pull' || isKnown)
    const token = makeToken(
      {key, certificate},
      {service: query.get('service') ?? '', lifetime: tokens.lifetime, access: [{type, name, actions: granted}]},
    )
    response.writeHead(200, {'content-type': 'application/json'}).end(JSON.stringify({token, expires_in: tokens.lifetime}))
  }
  return tokens
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const makeToken = (
  {key, certificate}: {readonly key: string; readonly certificate: string},
  {service, lifetime, access}: {readonly service: string; readonly lifetime: number; readonly access: readonly unknown[]},
): string => {
  const x5c = [readFileSync(certificate, 'utf8').replaceAll(/-----[^-]+-----|\s/g, '')]
  const now = Math.floor(Date.now() / 1000)
  const claims = {iss: 'tokens', sub: 'anna', aud: service, iat: now - 1, nbf: now - 1, exp: now + lifetime, jti: randomUUID(), access}
  const text = `${part({typ: 'JWT', alg: 'RS256', x5c})}.${part(claims)}`
  return `${text}.${createSign('RSA-SHA256').update(text).sign(readFileSync(key), 'base64url')}`
}

const listen = async (server: ReturnType<typeof createTcpServer>): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** A port that was free a moment ago. */
const freePort = async (): Promise<number> => {
  const server = createTcpServer()
  const port = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A real registry on loopback, that keeps what it has in a directory. */
export const startRegistry = async (directory: string, auth?: 'basic' | TokenServer): Promise<OciRegistry> => {
  mkdirSync(directory, {recursive: true})
  const host = `127.0.0.1:${await freePort()}`
  const passwords = join(directory, 'htpasswd')
  writeFileSync(passwords, `${login.user}:${hash}\n`)
  const config = {
    version: '0.1',
    log: {level: 'error', accesslog: {disabled: true}},
    storage: {filesystem: {rootdirectory: join(directory, 'data')}},
    http: {addr: host},
    ...(auth === 'basic' && {auth: {htpasswd: {realm: 'here', path: passwords}}}),
    ...(typeof auth === 'object' && {
      auth: {token: {realm: `${auth.origin}/token`, service: 'registry', issuer: 'tokens', rootcertbundle: auth.certificate}},
    }),
  }
  const path = join(directory, 'config.json')
  writeFileSync(path, JSON.stringify(config))
  const child = spawn('docker-registry', ['serve', path], {stdio: 'ignore'})
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  while (!(await answers(host))) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with status ${child.exitCode}`)
    await sleep(50)
  }
  return {
    host,
    async [Symbol.asyncDispose]() {
      child.kill()
      await ended
    },
  }
}

const answers = (host: string): Promise<boolean> =>
  new Promise((resolve) => {
    const [address, port] = host.split(':')
    const socket = connect(Number(port), address)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

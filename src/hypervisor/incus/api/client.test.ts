import {once} from 'node:events'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {buffer} from 'node:stream/consumers'

import {afterEach, beforeEach, describe, expect, test} from 'vitest'

import {type FakeIncus, startIncus} from '../../../../test/support/incus-server.ts'
import {trust} from '../../../../test/support/incus-trust.ts'
import {makeWorld, operate, type World} from '../../../../test/support/incus-world.ts'
import {makeCredentials} from './certificate.ts'
import {at, type IncusClient, type IncusOptions, openIncus} from './client.ts'
import {anything, dictionary, number, shape, text} from './read.ts'
import type {Credentials} from './wire.ts'

let credentials: Credentials
let shown: Credentials
let world: World
let directory: string

beforeEach(async () => {
  ;[credentials, shown] = [makeCredentials('client'), makeCredentials('server')]
  world = makeWorld()
  trust(world, credentials)
  world.images.set('a'.repeat(64), {type: 'container', size: 1, aliases: ['tiny']})
  directory = await mkdtemp(join(tmpdir(), 'vmctl-incus-'))
})

const opened: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of opened.splice(0).toReversed()) await one[Symbol.asyncDispose]()
  await rm(directory, {recursive: true})
})
const keep = <T extends AsyncDisposable>(one: T): T => {
  opened.push(one)
  return one
}

const serve = async (member?: string): Promise<FakeIncus> =>
  keep(await startIncus({world, credentials: shown, ...(member !== undefined && {member})}))
const connect = async (servers: readonly FakeIncus[], options: Partial<IncusOptions> = {}): Promise<IncusClient> =>
  keep(
    await openIncus({
      addresses: servers.map(({url}) => ({url})),
      fingerprint: servers[0]?.fingerprint,
      credentials,
      patienceMs: 20_000,
      ...options,
    }),
  )

const server = shape<{readonly auth: string; readonly environment: Readonly<Record<string, unknown>>}>({
  auth: text,
  environment: dictionary(anything),
})
const hello = {path: '/1.0', doing: 'look at the server'}
const create = (name: string) => ({
  method: 'POST' as const,
  path: at('instances'),
  doing: `create ${name}`,
  json: {name, type: 'container', source: {type: 'image', alias: 'tiny'}},
})

describe('who is talked to', () => {
  test('a server is known by its certificate, and we by ours', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    expect(await client.get({...hello, signal}, server)).toMatchObject({auth: 'trusted', environment: {server_version: '6.0.4'}})
    const stranger = await connect([fake], {credentials: makeCredentials('stranger')})
    expect(await stranger.get({...hello, signal}, server)).toMatchObject({auth: 'untrusted'})
    await expect(stranger.get({path: at('instances'), doing: 'list the VMs', signal}, anything)).rejects.toMatchObject({
      code: 'vmctl::incus::untrusted',
      message: expect.stringMatching(/could not list the VMs: not authorized\.$/) as string,
    })
  })

  test('nothing is sent to a server with another certificate, neither request nor websocket', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    await client.get({...hello, signal}, server)
    await fake.stop()
    await fake.start(makeCredentials('server'))
    const before = fake.requests.length
    const wrong = {code: 'vmctl::incus::wrong_server', message: expect.stringContaining(fake.fingerprint) as string}
    await expect(client.get({...hello, signal}, server)).rejects.toMatchObject(wrong)
    await expect(client.run({...create('web1'), signal})).rejects.toMatchObject(wrong)
    await expect(client.socket({path: '/1.0/events', doing: 'listen', signal})).rejects.toMatchObject(wrong)
    expect(fake.requests).toHaveLength(before)
  })

  test('without a fingerprint nobody is trusted', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake], {fingerprint: undefined})
    await expect(client.get({...hello, signal}, server)).rejects.toMatchObject({code: 'vmctl::incus::wrong_server'})
    expect(fake.requests).toEqual([])
  })

  test('a Unix socket needs no certificate', async ({signal}) => {
    const socketPath = join(directory, 'unix.socket')
    keep(await startIncus({world, socketPath}))
    const client = keep(await openIncus({addresses: [{socket: socketPath}]}))
    expect(await client.get({...hello, signal}, server)).toMatchObject({auth: 'trusted'})
    const nowhere = keep(await openIncus({addresses: [{socket: join(directory, 'none')}]}))
    await expect(nowhere.get({...hello, signal}, server)).rejects.toMatchObject({
      code: 'vmctl::incus::unreachable',
      message: expect.stringContaining('there is no such socket') as string,
    })
  })

  test('something else than Incus is said to be that', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    fake.fail(/GET/, {html: '<h1>It works</h1>'})
    await expect(client.get({...hello, signal}, server)).rejects.toMatchObject({code: 'vmctl::incus::not_incus'})
  })

  test('a restricted certificate is told from one that is not trusted', async ({signal}) => {
    const fake = await serve()
    trust(world, credentials, {restricted: true, projects: ['mine']})
    const client = await connect([fake])
    await expect(client.get({path: at('instances'), doing: 'list the VMs', signal}, anything)).rejects.toMatchObject({
      code: 'vmctl::incus::restricted',
    })
    expect(await client.get({path: at('instances'), query: {project: 'mine'}, doing: 'list the VMs', signal}, anything)).toEqual([])
  })
})

describe('when a member does not answer', () => {
  beforeEach(() => {
    for (const name of ['n1', 'n2', 'n3']) world.members.set(name, {name, url: '', status: 'Online'})
  })

  test('the next one is asked, and asked first from then on', async ({signal}) => {
    const [n1, n2] = [await serve('n1'), await serve('n2')]
    const client = await connect([n1, n2])
    await n1.stop()
    expect(await client.get({...hello, signal}, server)).toMatchObject({environment: {server_name: 'n2'}})
    expect(client.server()).toBe(new URL(n2.url).host)
    await n1.start()
    expect(await client.get({...hello, signal}, server)).toMatchObject({environment: {server_name: 'n2'}})
    expect(n1.requests).toEqual([])
  })

  test('one that comes back is waited for, and the user is told once', async ({signal}) => {
    const n1 = await serve('n1')
    const client = await connect([n1])
    await n1.stop()
    const told: string[] = []
    let again: Promise<void> | undefined
    const notify = (message: string): void => {
      told.push(message)
      again ??= n1.start()
    }
    expect(await client.get({...hello, signal, notify}, server)).toMatchObject({auth: 'trusted'})
    await again
    expect(told).toEqual([expect.stringMatching(/the connection was refused; trying for up to \d+ s more/)])
  })

  test('what passes by itself is waited for; what stays is told with all reasons', async ({signal}) => {
    const [n1, n2] = [await serve('n1'), await serve('n2')]
    const client = await connect([n1, n2], {patienceMs: 3000})
    n1.fail(/instances/, {status: 503, error: 'no available cowsql leader server found'})
    n2.fail(/instances/, {status: 500, error: "Server isn't ready yet"})
    expect(await client.get({path: at('instances'), doing: 'list the VMs', signal}, anything)).toEqual([])
    n1.fail(/instances/, {status: 503, error: 'no available cowsql leader server found'}, 99)
    n2.fail(/instances/, 'cut', 99)
    await expect(client.get({path: at('instances'), doing: 'list the VMs', signal}, anything)).rejects.toMatchObject({
      code: 'vmctl::incus::not_ready',
      message: expect.stringMatching(/no available cowsql leader.*the connection was cut/) as string,
    })
    // A failure that stays is not waited for.
    n1.fail(/warnings/, {status: 500, error: 'disk on fire'})
    n2.fail(/warnings/, {status: 500, error: 'disk on fire'})
    await expect(client.get({path: at('warnings'), doing: 'look', signal}, anything)).rejects.toMatchObject({code: 'vmctl::incus::failed'})
  })

  test('an interrupt ends the waiting', async ({signal}) => {
    const n1 = await serve('n1')
    const client = await connect([n1])
    await n1.stop()
    const interrupt = new AbortController()
    const asked = client.get(
      {...hello, signal: AbortSignal.any([signal, interrupt.signal]), notify: () => interrupt.abort(new Error('enough'))},
      server,
    )
    await expect(asked).rejects.toThrow('enough')
  })

  test('an operation of another member is waited for where it is (trap 2)', async ({signal}) => {
    const [n1, _n2] = [await serve('n1'), await serve('n2')]
    const client = await connect([n1])
    world.operationMs = 100
    const begun = await client.begin({...create('web1'), query: {target: 'n2'}, signal})
    await begun.ended()
    expect(world.instances.size).toBe(1)
    expect(n1.requests.filter((line) => line.includes('/operations/'))).toEqual([
      expect.stringMatching(/^GET \/1\.0\/operations\/[0-9a-f-]+\/wait\?project=default&timeout=30$/),
    ])
  })
})

describe('what is not known', () => {
  test('a change whose answer is lost is not made twice: the thing itself is looked at', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    const lookUp = () => client.find({path: at('instances', 'web1'), doing: 'look', signal}, dictionary(anything))
    fake.fail(/^POST .*instances/, 'cut-answer')
    expect(
      await client.run({
        ...create('web1'),
        signal,
        lookUp: async () => {
          await expect.poll(() => world.instances.size).toBe(1)
          return lookUp()
        },
      }),
    ).toMatchObject({name: 'web1'})
    fake.fail(/^POST .*instances/, 'cut')
    await expect(
      client.run({
        ...create('web2'),
        signal,
        lookUp: () => client.find({path: at('instances', 'web2'), doing: 'look', signal}, dictionary(anything)),
      }),
    ).rejects.toMatchObject({
      code: 'vmctl::incus::outcome_unknown',
      message: expect.stringMatching(/could create web2 is not known: its answer was lost\.$/) as string,
    })
    expect(fake.requests.filter((line) => line.startsWith('POST'))).toHaveLength(2)
  })

  test('what may be repeated is', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    await client.run({...create('web1'), signal})
    fake.fail(/^PATCH/, 'cut-answer')
    await client.run({method: 'PATCH', path: at('instances', 'web1'), json: {config: {'user.a': 'b'}}, doing: 'change', signal})
    expect(fake.requests.filter((line) => line.startsWith('PATCH'))).toHaveLength(2)
  })

  test('an interrupt cancels the operation that is waited for', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    await client.run({...create('web1'), signal})
    await client.run({method: 'PUT', path: at('instances', 'web1', 'state'), json: {action: 'start'}, doing: 'start', signal})
    const interrupt = new AbortController()
    const begun = await client.begin({
      method: 'POST',
      path: at('instances', 'web1', 'exec'),
      json: {command: ['sleep', '60'], 'wait-for-websocket': true},
      doing: 'execute',
      signal: interrupt.signal,
    })
    const ended = begun.ended()
    await expect.poll(() => fake.requests.at(-1)).toMatch(/wait/)
    interrupt.abort(new Error('enough'))
    await expect(ended).rejects.toThrow('enough')
    expect(world.operations.get(begun.operation.id)?.status_code).toBe(401)
  })

  test('somebody who is quicker makes us look again, not for ever', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    const path = at('profiles', 'default')
    let rivals = 2
    const change = () =>
      client.alter({path, doing: 'change the profile', signal}, dictionary(anything), (value) => {
        if (rivals-- > 0) world.profiles.set('default\0default', {...value, description: `rival ${rivals}`})
        return {...value, config: {'user.mine': 'yes'}}
      })
    await change()
    expect(world.profiles.get('default\0default')).toMatchObject({description: 'rival 0', config: {'user.mine': 'yes'}})
    rivals = 100
    await expect(change()).rejects.toMatchObject({code: 'vmctl::incus::changed_meanwhile'})
    expect(await client.alter({path, doing: 'look', signal}, dictionary(anything), () => undefined)).toBe(false)
  })
})

describe('many things at once', () => {
  test('a thousand are asked for a few at a time, and one connection hears of all their ends', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    world.operationMs = 200
    await Promise.all(Array.from({length: 1000}, (_none, index) => client.run({...create(`vm${index}`), signal})))
    expect(world.instances.size).toBe(1000)
    expect(fake.mostAtOnce).toBeLessThanOrEqual(8)
    expect(fake.requests.filter((line) => line.startsWith('POST'))).toHaveLength(1000)
    expect(fake.requests.filter((line) => !line.startsWith('POST'))).toEqual([
      expect.stringMatching(/^WS \/1\.0\/events\?type=operation&all-projects=true$/),
    ])
  })

  test('a failure is heard of as well, and who does not hear asks', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    await client.run({...create('web1'), signal})
    await expect(client.run({...create('web1'), signal})).rejects.toMatchObject({code: 'vmctl::incus::name_taken'})
    world.operationMs = 300
    const slow = client.run({...create('web2'), signal})
    await expect.poll(() => fake.requests.filter((line) => line.startsWith('POST'))).toHaveLength(3)
    world.events.emit('cut')
    await slow
    expect(fake.requests.some((line) => line.includes('/wait?'))).toBe(true)
  })
})

describe('streams', () => {
  const execute = async (client: IncusClient, command: readonly string[], signal: AbortSignal) => {
    const begun = await client.begin({
      method: 'POST',
      path: at('instances', 'web1', 'exec'),
      json: {command, 'wait-for-websocket': true, interactive: false},
      doing: 'execute',
      signal,
    })
    const fds = dictionary(text)(begun.operation.metadata['fds'], 'fds')
    const open = (fd: string) =>
      client.socket({path: `${begun.path}/websocket`, query: {...begun.query, secret: fds[fd]}, doing: 'attach', signal})
    const [stdin, stdout, stderr] = [await open('0'), await open('1'), await open('2')].map((socket) =>
      socket.bytes('empty-text').on('error', () => undefined),
    )
    await open('control')
    if (!stdin || !stdout || !stderr) throw new Error('no streams')
    return {begun, stdin, stdout, stderr}
  }

  test('a command gets its input, its end, and gives its output and status', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    await client.run({...create('web1'), signal})
    await client.run({method: 'PUT', path: at('instances', 'web1', 'state'), json: {action: 'start'}, doing: 'start', signal})
    const cat = await execute(client, ['cat'], signal)
    const content = Buffer.from(Array.from({length: 3_000_000}, (_none, index) => index % 251))
    cat.stdin.end(content)
    expect((await buffer(cat.stdout)).equals(content)).toBe(true)
    expect((await cat.begun.ended())['return']).toBe(0)
    world.commands.set('fail', () => ({status: 9, stdout: 'out', stderr: 'err'}))
    const failing = await execute(client, ['fail'], signal)
    expect([String(await buffer(failing.stdout)), String(await buffer(failing.stderr))]).toEqual(['out', 'err'])
    expect(number((await failing.begun.ended())['return'], 'return')).toBe(9)
  })

  test('events come as they are sent, in whatever order (trap 10), until the server goes', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    const events = await client.socket({path: '/1.0/events', query: {type: 'operation'}, doing: 'listen', signal})
    const begun = operate(world, {project: 'default', location: 'none', act: () => undefined})
    await begun.ended
    setTimeout(() => void fake.stop(), 50)
    const codes: unknown[] = []
    for await (const event of events.texts()) codes.push((JSON.parse(event) as {metadata: {status_code: number}}).metadata.status_code)
    expect(codes).toEqual([200, 103])
  })

  test('a stream that is cut is not one that has ended', async ({signal}) => {
    const fake = await serve()
    const client = await connect([fake])
    await client.run({...create('web1'), signal})
    await client.run({method: 'PUT', path: at('instances', 'web1', 'state'), json: {action: 'start'}, doing: 'start', signal})
    const {stdout} = await execute(client, ['cat'], signal)
    const failed = once(stdout, 'error')
    stdout.resume()
    await fake.stop()
    expect((await failed)[0]).toMatchObject({code: 'vmctl::incus::connection_lost'})
  })
})

import {spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import {createServer as createHttpServer} from 'node:http'
import {type AddressInfo, createServer, type Server} from 'node:net'
import {networkInterfaces} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, describe, expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {missingProgram, testUnless} from '../../test/support/programs.ts'
import {guestShells} from '../../test/support/shells.ts'
import {sshdMissing, startSshd, type TestSshd} from '../../test/support/sshd.ts'
import {eventually} from '../../test/support/vm-guests.ts'
import type {Healthcheck, HealthTest} from '../model/health.ts'
import {probe} from './health.ts'
import {sshCandidates} from './ssh/candidates.ts'
import {connect, type GuestConnection} from './ssh/ssh.ts'

const missing = sshdMissing()
const noIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({address}) => address === '::1'))
  ? undefined
  : 'the host has no IPv6'

const shells = guestShells().filter((one) => one.missing === undefined)

const {signal} = new AbortController()

const processesWith = (mark: string): string => spawnSync('pgrep', ['-af', mark], {encoding: 'utf8'}).stdout

const listening = async (server: Server, host = '127.0.0.1'): Promise<number> => {
  server.listen(0, host)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

describe.skipIf(missing)(`probes in a real guest${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let sshd: TestSshd
  let guest: GuestConnection
  const open = async (server: TestSshd): Promise<GuestConnection> =>
    connect({
      stream: await server.dial(),
      user: server.user,
      auth: await sshCandidates({explicit: server.keyPath}),
      verifyHostKey: () => true,
    })
  beforeAll(async () => {
    sshd = await startSshd()
    guest = await open(sshd)
  })
  afterAll(async () => {
    guest.close()
    await sshd[Symbol.asyncDispose]()
  })

  const checkOf = (what: HealthTest, timeoutMs = 10_000): Healthcheck => ({
    test: what,
    timeoutMs,
    intervalMs: 1000,
    retries: 3,
    startPeriodMs: 0,
  })
  const run = (what: HealthTest, options: {timeoutMs?: number; env?: Record<string, string>} = {}) =>
    probe(guest, checkOf(what, options.timeoutMs), {signal, env: options.env ?? {}})
  const shell = (line: string): HealthTest => ({kind: 'shell', line})

  test('a program with arguments, and a line for the shell; the exit status decides', async () => {
    expect(await run({kind: 'exec', command: ['printf', '%s|', 'a b', "it's", '$HOME']})).toEqual({
      isGood: true,
      exitCode: 0,
      output: "a b|it's|$HOME|",
      durationMs: expect.any(Number),
    })
    expect(await run(shell('echo out; echo err >&2; exit 3'))).toMatchObject({isGood: false, exitCode: 3, output: 'out\nerr'})
    expect(await run(shell('false | true'))).toMatchObject({isGood: true})
    expect(await run({kind: 'exec', command: ['no-such-program']})).toMatchObject({isGood: false, exitCode: 127})
    expect(await run(shell('cat'))).toMatchObject({isGood: true, output: ''})
  })

  test('the environment reaches the test and no list of processes', async () => {
    const secret = 'value-of-the-environment-7311'
    const line = 'echo "$WORD"; grep -l value-of-the-environment-7311 /proc/[0-9]*/cmdline 2>/dev/null | grep -v /self/; true'
    const {output} = await run(shell(line.replace('value-of-the-environment-7311', 'value-of-the-[e]nvironment-7311')), {
      env: {WORD: secret, QUOTED: `a'b"c\n$(d)`},
    })
    expect(output).toBe(secret)
    expect((await run(shell('printf %s "$QUOTED"'), {env: {QUOTED: `a'b"c\n$(d)`}})).output).toBe(`a'b"c\n$(d)`)
  })

  test('the end of the output is kept, without what would move a cursor', async () => {
    const {output} = await run(shell(`seq 1 3000; printf '\\033[31mred\\033[0m\\n'`))
    expect(Buffer.byteLength(output)).toBeLessThanOrEqual(4096)
    expect(output.endsWith('2999\n3000\nred')).toBe(true)
  })

  test('a test that takes too long is ended in the guest, with all that it has started', async () => {
    const mark = `3${process.pid}.25`
    const result = await run(shell(`echo begun; sleep ${mark} & trap '' TERM; sleep ${mark}; echo never`), {timeoutMs: 1000})
    expect(result).toMatchObject({isGood: false, output: 'begun\ndid not end within 1.0 s'})
    expect(result.exitCode).toBeUndefined()
    await eventually(() => expect(processesWith(`sleep ${mark}`)).toBe(''), {timeoutMs: 10_000})
  })

  test('so it is when nobody is left to listen', async () => {
    const mark = `3${process.pid}.5`
    const lonely = await open(sshd)
    const probing = probe(lonely, checkOf(shell(`sleep ${mark}`), 2000), {signal})
    probing.catch(() => undefined)
    await eventually(() => expect(processesWith(`sleep ${mark}`)).not.toBe(''))
    lonely.close()
    await expect(probing).rejects.toMatchObject({code: 'vmctl::ssh::connection_lost'})
    await eventually(() => expect(processesWith(`sleep ${mark}`)).toBe(''), {timeoutMs: 10_000})
  })

  test.each(shells)('the same with $name for a shell', async ({path}) => {
    const small: GuestConnection = {...guest, exec: (command, options) => guest.exec(`PATH=${path}; export PATH; ${command}`, options)}
    const mark = `3${process.pid}.75`
    const slow = checkOf(shell(`echo begun; sleep ${mark}`), 1000)
    expect(await probe(small, slow, {signal})).toMatchObject({isGood: false, output: expect.stringMatching(/^begun/)})
    await eventually(() => expect(processesWith(`sleep ${mark}`)).toBe(''), {timeoutMs: 10_000})
    expect(await probe(small, checkOf(shell('seq 2; exit 4')), {signal})).toMatchObject({exitCode: 4, output: '1\n2'})
  })

  test('a port that accepts connections, on either loopback address, and one that does not', async () => {
    const server = createServer((socket) => socket.end())
    const port = await listening(server)
    expect(await run({kind: 'tcp', port})).toMatchObject({isGood: true, output: `port ${port} accepts connections`})
    server.close()
    expect(await run({kind: 'tcp', port})).toMatchObject({
      isGood: false,
      output: expect.stringContaining(`Nothing accepts connections at 127.0.0.1 port ${port} of the guest`),
    })
  })

  testUnless(noIpv6)('a port that is open on IPv6 only', async () => {
    const port = await listening(createServer(), '::1')
    expect(await run({kind: 'tcp', port})).toMatchObject({isGood: true, output: `port ${port} accepts connections`})
  })

  test('a URL whose status is below 400', async () => {
    const seen: string[] = []
    const server = createHttpServer((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.host}`)
      if (request.url === '/hang') return
      response.writeHead(Number(request.url?.slice(1, 4)) || 200, {Location: '/'}).end('body')
    })
    const port = await listening(server)
    const ask = (path: string, timeoutMs = 10_000) => run({kind: 'http', url: `http://localhost:${port}${path}`}, {timeoutMs})
    expect(await ask('/?q=1')).toMatchObject({isGood: true, output: 'HTTP/1.1 200 OK'})
    expect(await ask('/302')).toMatchObject({isGood: true, output: 'HTTP/1.1 302 Found'})
    expect(await ask('/404')).toMatchObject({isGood: false, output: 'HTTP/1.1 404 Not Found'})
    expect(await ask('/503')).toMatchObject({isGood: false})
    expect(await ask('/hang', 1000)).toMatchObject({isGood: false, output: 'did not end within 1.0 s'})
    expect(seen[0]).toBe(`GET /?q=1 localhost:${port}`)
    server.closeAllConnections()
  })

  test('what is not HTTP is not healthy', async () => {
    const answers = async (text: string) =>
      run({kind: 'http', url: `http://127.0.0.1:${await listening(createServer((socket) => socket.end(text)))}/`})
    expect(await answers('220 smtp ready\r\n')).toMatchObject({isGood: false, output: 'this is not an HTTP server'})
    expect(await answers('')).toMatchObject({isGood: false, output: 'the server closed the connection without an answer'})
    expect(await answers('x'.repeat(100_000))).toMatchObject({isGood: false})
  })

  test('a guest that forbids forwarding says so, and programs still work', async () => {
    await using strict = await startSshd({config: ['AllowTcpForwarding no']})
    const connection = await open(strict)
    try {
      expect(await probe(connection, checkOf({kind: 'tcp', port: 1}), {signal})).toMatchObject({
        isGood: false,
        output: expect.stringContaining('AllowTcpForwarding'),
      })
      expect(await probe(connection, checkOf(shell('true')), {signal})).toMatchObject({isGood: true})
    } finally {
      connection.close()
    }
  })

  test('an interrupt is no result', async () => {
    const controller = new AbortController()
    const probing = probe(guest, checkOf(shell('sleep 5')), {signal: controller.signal})
    controller.abort(new Error('Ctrl+C'))
    await expect(probing).rejects.toThrow('Ctrl+C')
  })

  testUnless(missingProgram('openssl', ['version']))('a server with TLS and a certificate of its own', async () => {
    const directory = temporaryDirectory()
    const made = spawnSync('openssl', [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      '/CN=guest',
      '-keyout',
      join(directory, 'key'),
      '-out',
      join(directory, 'cert'),
      '-days',
      '2',
    ])
    expect(made.status, String(made.stderr)).toBe(0)
    const {createServer: createTls} = await import('node:https')
    const server = createTls(
      {key: readFileSync(join(directory, 'key')), cert: readFileSync(join(directory, 'cert'))},
      (_request, response) => response.end(),
    )
    const port = await listening(server)
    expect(await run({kind: 'http', url: `https://localhost:${port}/`})).toMatchObject({isGood: true, output: 'HTTP/1.1 200 OK'})
    server.closeAllConnections()
  })
})

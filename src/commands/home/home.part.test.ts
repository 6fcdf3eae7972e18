import {existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterEach, beforeEach, describe, expect, test} from 'vitest'

import {type FakeIncus, startIncus} from '../../../test/support/incus-server.ts'
import {type Credentials, fingerprintOfCertificate, makeCredentials} from '../../../test/support/incus-trust.ts'
import {makeWorld, type World} from '../../../test/support/incus-world.ts'
import {makeWorkspace, runCommand, runShell, type Workspace} from '../../../test/support/run-command.ts'

let workspace: Workspace
let world: World
let server: FakeIncus
let shown: Credentials
let homes: string

beforeEach(async () => {
  workspace = makeWorkspace()
  process.env['XDG_CONFIG_HOME'] = join(workspace.directory, 'config')
  homes = join(workspace.directory, 'config/vmctl/homes')
  world = makeWorld()
  shown = makeCredentials('server')
  server = await startIncus({world, credentials: shown})
})

afterEach(async () => {
  delete process.env['XDG_CONFIG_HOME']
  delete process.env['VMCTL_HOME_TOKEN']
  await server[Symbol.asyncDispose]()
  workspace[Symbol.dispose]()
})

const record = (name = 'lab') => JSON.parse(readFileSync(join(homes, name, 'home.json'), 'utf8')) as Record<string, unknown>
const tokenFile = (text = server.token('lab')): string => workspace.write('token', `${text}\n`)
const add = (...words: readonly string[]) => runCommand('home', 'add', 'lab', ...words)

describe('home add', () => {
  test('a server trusts a key of our own from then on, and nobody else may read it', async () => {
    const {stdout, exitCode} = await add(server.url, '--token', tokenFile())
    expect([stdout, exitCode]).toEqual([`lab: added, ${server.url}\n`, 0])
    expect(record()).toEqual({schema: 1, kind: 'incus', addresses: [server.url], fingerprint: server.fingerprint})
    const certificate = readFileSync(join(homes, 'lab/client.crt'), 'utf8')
    expect([...world.trusted.keys()]).toEqual([fingerprintOfCertificate(certificate)])
    expect(readFileSync(join(homes, 'lab/client.key'), 'utf8')).toContain('BEGIN PRIVATE KEY')
    expect(statSync(join(homes, 'lab/client.key')).mode & 0o777).toBe(0o600)
    expect(statSync(join(homes, 'lab')).mode & 0o777).toBe(0o700)
    expect(readdirSync(homes)).toEqual(['lab'])
    const {json} = await runCommand('home', 'ls', '--json')
    expect(json).toEqual({homes: [{name: 'lab', addresses: [server.url], fingerprint: server.fingerprint}]})
    expect((await runCommand('home', 'ls')).stdout).toMatch(/HOME +PROJECT +ADDRESSES +CERTIFICATE\nlab +default +https:/)
  })

  test('the token comes by standard input or the environment, and brings the address along', async () => {
    const typed = await runShell('vmctl home add lab --token -  < token', {cwd: (tokenFile(), workspace.directory)})
    expect(typed).toMatchObject({stdout: `lab: added, ${server.url}\n`, exitCode: 0})
    process.env['VMCTL_HOME_TOKEN'] = server.token('other')
    expect(await runCommand('home', 'add', 'other')).toMatchObject({stdout: `other: added, ${server.url}\n`, exitCode: 0})
  })

  test('a token as a word is refused, and not repeated', async () => {
    const token = server.token('lab')
    const {stderr, exitCode} = await add(server.url, '--token', token)
    expect(exitCode).toBe(2)
    expect(stderr).toContain('--token wants a file')
    expect(stderr).not.toContain(token.slice(0, 30))
    expect(existsSync(homes)).toBe(false)
  })

  test('nothing is sent to a server that is not the one of the token', async () => {
    const token = tokenFile()
    await server.stop()
    await server.start(makeCredentials('somebody else'))
    const {stderr, exitCode} = await add(server.url, '--token', token)
    expect(exitCode).toBe(4)
    expect(stderr).toMatch(/vmctl::incus::wrong_server/)
    expect(server.requests).toEqual([])
    expect((await runCommand('home', 'ls', '--json')).json).toEqual({homes: []})
  })

  test('a token that was used, is damaged, or is too old says so', async () => {
    const token = server.token('lab')
    world.tokens.clear()
    expect((await add('--token', tokenFile(token))).stderr).toMatch(/vmctl::home::token_invalid.*does not accept the token/s)
    expect((await add('--token', tokenFile('bm90IGEgdG9rZW4='))).stderr).toMatch(/not one that Incus has made/)
    const said = JSON.parse(Buffer.from(token, 'base64').toString()) as object
    const old = Buffer.from(JSON.stringify({...said, expires_at: '2020-01-01T00:00:00Z'})).toString('base64')
    expect((await add('--token', tokenFile(old))).stderr).toMatch(/it was good until 2020/)
    expect((await add(server.url)).stderr).toMatch(/A token is missing.*incus config trust add lab/s)
    expect((await add('ftp://x', '--token', tokenFile())).stderr).toMatch(/"ftp:\/\/x" is no address/)
    expect((await runCommand('home', 'add', 'local', server.url)).stderr).toMatch(/local means this host/)
  })

  test('once more changes the addresses and the project, needs no token and keeps the key', async () => {
    await add(server.url, '--token', tokenFile())
    const key = readFileSync(join(homes, 'lab/client.key'), 'utf8')
    world.projects.set('shop', {config: {}})
    const again = await add(server.url, 'https://127.0.0.1:1', '--project', 'shop')
    expect(again).toMatchObject({stdout: `lab: changed, ${server.url}, https://127.0.0.1:1, project shop\n`, exitCode: 0})
    expect(record()).toMatchObject({addresses: [server.url, 'https://127.0.0.1:1'], project: 'shop'})
    expect(readFileSync(join(homes, 'lab/client.key'), 'utf8')).toBe(key)
    expect((await add(server.url, '--project', 'nope')).stderr).toMatch(/no project nope; it shows: default, shop/)
    expect(record()).toMatchObject({project: 'shop'})
  })

  test('a key that the server trusted just before a kill is used, though the token is gone', async () => {
    await add(server.url, '--token', tokenFile())
    // As it is before the last rename.
    rmSync(join(homes, 'lab/home.json'))
    renameSync(join(homes, 'lab'), join(homes, '.new-lab'))
    const token = Buffer.from(
      JSON.stringify({client_name: 'lab', fingerprint: server.fingerprint, addresses: [], secret: 'used'}),
    ).toString('base64')
    expect((await runCommand('home', 'ls', '--json')).json).toEqual({homes: []})
    expect(await add(server.url, '--token', tokenFile(token))).toMatchObject({exitCode: 0})
    expect([world.trusted.size, readdirSync(homes)]).toEqual([1, ['lab']])
  })

  test('a server whose certificate was renewed is taken only on demand, with a token of its own', async () => {
    await add(server.url, '--token', tokenFile())
    const before = record()
    await server.stop()
    await server.start(makeCredentials('renewed'))
    expect((await add(server.url)).stderr).toMatch(/vmctl::incus::wrong_server.*home rm|--renew/s)
    const refused = await add(server.url, '--token', tokenFile())
    expect([refused.exitCode, refused.stderr]).toEqual([5, expect.stringMatching(/vmctl::home::exists.*--renew/s)])
    expect(record()).toEqual(before)
    expect(await add(server.url, '--token', tokenFile(), '--renew')).toMatchObject({exitCode: 0})
    expect(record()).toMatchObject({fingerprint: server.fingerprint})
  })

  test('two at once make one home, with one key', async () => {
    const env = {VMCTL_HOME_TOKEN: server.token('lab')}
    const results = await Promise.all([1, 2].map(() => runShell(`vmctl home add lab ${server.url}`, {env})))
    expect(results.map(({exitCode}) => exitCode)).toEqual([0, 0])
    expect(world.trusted.size).toBe(1)
    expect(readdirSync(homes)).toEqual(['lab'])
  })

  test('a certificate that is for one project takes that one', async () => {
    await add(server.url, '--token', tokenFile())
    world.projects.set('shop', {config: {}})
    for (const [fingerprint, entry] of world.trusted) world.trusted.set(fingerprint, {...entry, restricted: true, projects: ['shop']})
    expect((await add(server.url)).stdout).toContain('project shop')
    world.projects.set('blog', {config: {}})
    for (const [fingerprint, entry] of world.trusted) world.trusted.set(fingerprint, {...entry, projects: ['shop', 'blog']})
    rmSync(join(homes, 'lab/home.json'))
    renameSync(join(homes, 'lab'), join(homes, '.new-lab'))
    expect((await add('--token', tokenFile())).stderr).toMatch(/it is for: blog, shop.*--project NAME/s)
  })

  test('a server that does not answer is told after a few seconds, and leaves no home', async () => {
    const token = tokenFile()
    await server.stop()
    const {stderr, exitCode} = await add('--token', token)
    expect([exitCode, stderr]).toEqual([4, expect.stringMatching(/vmctl::incus::unreachable.*the connection was refused/s)])
    expect((await runCommand('home', 'ls', '--json')).json).toEqual({homes: []})
  })
})

test('names of homes are completed', async () => {
  await add(server.url, '--token', tokenFile())
  expect((await runCommand('complete', '--', 'home', 'rm', '')).stdout).toBe('lab\n')
  expect((await runCommand('complete', '--', 'doctor', '--home', 'l')).stdout).toBe('lab\n')
})

describe('home rm', () => {
  test('both sides forget the key', async () => {
    await add(server.url, '--token', tokenFile())
    expect(await runCommand('home', 'rm', 'lab')).toMatchObject({stdout: 'lab: removed\n', exitCode: 0})
    expect([world.trusted.size, readdirSync(homes)]).toEqual([0, []])
    const {stderr, exitCode} = await runCommand('home', 'rm', 'lab')
    expect([exitCode, stderr]).toEqual([3, expect.stringMatching(/There is no home "lab"/)])
  })

  test('a server that is away keeps the key, and that is said', async () => {
    await add(server.url, '--token', tokenFile())
    await server.stop()
    const {stdout, stderr, exitCode} = await runCommand('home', 'rm', 'lab')
    expect([stdout, exitCode, readdirSync(homes)]).toEqual(['lab: removed\n', 0, []])
    expect(stderr).toMatch(/still trusts the key/)
  })

  test('a damaged record is told by ls, and can be removed', async () => {
    await add(server.url, '--token', tokenFile())
    writeFileSync(join(homes, 'lab/home.json'), '{"schema": 1, "addresses": [42]}')
    mkdirSync(join(homes, 'half'))
    const listed = await runCommand('home', 'ls')
    expect(listed.stderr).toMatch(/The record of the home lab is damaged/)
    expect(listed.stderr).toMatch(/The record of the home half is damaged/)
    expect((await runCommand('doctor', '--home', 'lab')).stderr).toMatch(/vmctl::home::record_damaged/)
    expect(await runCommand('home', 'rm', 'lab')).toMatchObject({exitCode: 0})
    expect(await runCommand('home', 'rm', 'half')).toMatchObject({exitCode: 0})
    expect(readdirSync(homes)).toEqual([])
  })
})

describe('doctor --home', () => {
  const doctor = async () =>
    (await runCommand('doctor', '--home', 'lab', '--json')).json as {checks: {name: string; status: string; detail: string}[]}
  const found = async (name: string) =>
    (await doctor()).checks.filter((check) => check.name === name).map(({status, detail}) => `${status} ${detail}`)

  beforeEach(async () => {
    await add(server.url, '--token', tokenFile())
  })

  test('a single server: version, trust, VMs, room', async () => {
    world.warnings.push({type: 'Instance type not operational', last_message: 'vhost_vsock kernel module not loaded'})
    const {stdout, exitCode} = await runCommand('doctor', '--home', 'lab')
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/ok +server +127\.0\.0\.1:\d+, Incus 6\.0\.4\n/)
    expect(stdout).toMatch(/ok +trust +trusted for all projects; uses default\n/)
    expect(stdout).toMatch(/warn +vms +the server can run system containers only: vhost_vsock kernel module not loaded/)
    expect(stdout).toMatch(/ok +pool +default \(dir\), 99\.00 GB free/)
    world.hasVms = true
    world.pools.get('default')!.used = 99 * 2 ** 30
    expect(await found('vms')).toEqual(['ok virtual machines and system containers'])
    expect(await found('pool')).toEqual([expect.stringMatching(/^warn default \(dir\), 1\.00 GB free$/)])
  })

  test('a cluster: who is there, who is not, who may be, and what may go', async () => {
    for (const name of ['n1', 'n2', 'n3']) world.members.set(name, {name, url: '', status: 'Online'})
    expect(await found('quorum')).toEqual(['ok 3 of 3 members with the database are there; 1 more may go'])
    Object.assign(world.members.get('n3')!, {status: 'Offline', message: 'No heartbeat for 21.5s (2026-01-01 00:00:00 +0000 UTC)'})
    Object.assign(world.members.get('n2')!, {status: 'Evacuated'})
    expect(await found('member')).toEqual([
      'ok n1 is online',
      expect.stringMatching(/^warn n2 is evacuated/),
      expect.stringMatching(/^warn n3 may be offline, nothing heard for 22 s$/),
    ])
    Object.assign(world.members.get('n3')!, {message: 'No heartbeat for 1h2m3.5s (2026-01-01 00:00:00 +0000 UTC)'})
    expect(await found('member')).toContain('warn n3 is offline, nothing heard for 3724 s')
    expect(await found('quorum')).toEqual(['warn 2 of 3 members with the database are there; none may go'])
    expect(await found('pool')).toEqual([expect.stringContaining('of each member alone')])
  })

  test('healing that does harm is told', async () => {
    world.config['cluster.healing_threshold'] = '30'
    expect(await found('healing')).toEqual([expect.stringMatching(/^warn cluster\.healing_threshold is 30/)])
    for (const version of ['6.0.6', '6.1', '7.0.1']) {
      world.version = version
      expect(await found('healing')).toEqual([])
    }
  })

  test('a restricted certificate sees its projects; one that was taken back nothing', async () => {
    world.projects.set('shop', {config: {}})
    for (const [fingerprint, entry] of world.trusted) world.trusted.set(fingerprint, {...entry, restricted: true, projects: ['shop']})
    expect(await found('trust')).toEqual(['fail restricted to shop; uses default'])
    world.trusted.clear()
    expect(await runCommand('doctor', '--home', 'lab')).toMatchObject({
      exitCode: 4,
      stdout: expect.stringMatching(/fail +trust .*does not know this home/),
    })
    await server.stop()
    expect(await found('server')).toEqual([expect.stringMatching(/^fail Cannot look at the server: no connection/)])
    expect((await runCommand('doctor', '--home', 'labb')).stderr).toMatch(/vmctl::home::not_found.*Did you mean/s)
  })
})

import {mkdtemp, readFile, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {buffer} from 'node:stream/consumers'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {at} from '../../src/hypervisor/incus/api/client.ts'
import {anything, dictionary, shape, text} from '../../src/hypervisor/incus/api/read.ts'
import {type IncusLab, incusLabMissing, openIncusLab} from '../support/incus-lab.ts'
import {traps} from '../support/incus-traps.ts'
import {describeUnless} from '../support/programs.ts'
import {startProgram, vmctlProgram} from '../support/vmctl-process.ts'

/** The client, and the commands about homes, on a real Incus. */
describeUnless(incusLabMissing())('a real Incus', () => {
  let lab: IncusLab
  let directory: string
  const end = new AbortController()

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vmctl-incus-e2e-'))
    lab = await openIncusLab(['s1'], end.signal)
  })
  afterAll(async () => {
    end.abort()
    await lab?.[Symbol.asyncDispose]()
    await rm(directory, {recursive: true, force: true})
  })

  for (const [name, expectTrap] of traps) test(name, ({signal}) => expectTrap({client: lab.client, image: lab.image, signal}))

  const vmctl = async (...words: readonly string[]) => {
    const env = {...process.env, XDG_CONFIG_HOME: join(directory, 'config'), VMCTL_STATE_DIR: join(directory, 'state'), NO_COLOR: '1'}
    return startProgram([process.execPath, vmctlProgram, ...words], {cwd: directory, env}).outcome
  }
  const token = (...words: readonly string[]): string =>
    lab
      .run('s1', ['incus', 'config', 'trust', 'add', '--quiet', ...words])
      .trim()
      .split('\n')
      .at(-1) ?? ''
  const added = async (name: string, ...words: readonly string[]) => {
    process.env.VMCTL_HOME_TOKEN = token(...words)
    try {
      return await vmctl('home', 'add', name, lab.members[0]?.url ?? '')
    } finally {
      delete process.env.VMCTL_HOME_TOKEN
    }
  }

  test('a token makes it a home, doctor sees what it can do, and both sides forget', async () => {
    expect(await added('lab', 'lab')).toMatchObject({exitCode: 0, stderr: ''})
    expect(lab.run('s1', ['incus', 'config', 'trust', 'list', '--format', 'csv', '-c', 'n'])).toMatch(/^lab$/m)
    const {stdout, exitCode} = await vmctl('doctor', '--home', 'lab')
    expect(exitCode, stdout).toBe(0)
    expect(stdout).toMatch(/ok +server +127\.0\.0\.1:\d+, Incus 6\./)
    expect(stdout).toMatch(/ok +trust +trusted for all projects/)
    expect(stdout).toMatch(/warn +vms +the server can run system containers only: KVM support is missing/)
    expect(stdout).toMatch(/pool +default \(dir\), .* free/)
    expect(await vmctl('home', 'rm', 'lab')).toMatchObject({exitCode: 0, stderr: ''})
    expect(lab.run('s1', ['incus', 'config', 'trust', 'list', '--format', 'csv', '-c', 'n'])).not.toMatch(/^lab$/m)
  })

  test('a restricted token is good for its project, and who may remove its key is told', async () => {
    lab.run('s1', ['incus', 'project', 'create', 'shop'])
    expect(await added('shop', 'shop', '--restricted', '--projects', 'shop')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('project shop') as string,
    })
    const {stdout} = await vmctl('doctor', '--home', 'shop')
    expect(stdout).toMatch(/ok +trust +restricted to shop; uses shop/)
    const removed = await vmctl('home', 'rm', 'shop')
    expect(removed).toMatchObject({exitCode: 0, stdout: 'shop: removed\n'})
    const [, fingerprint = ''] = /incus config trust remove\W+([0-9a-f]{12})/.exec(removed.stderr.replaceAll(/\s*›\s*/g, ' ')) ?? []
    lab.run('s1', ['incus', 'config', 'trust', 'remove', fingerprint])
    expect(lab.run('s1', ['incus', 'config', 'trust', 'list', '--format', 'csv'])).toBe('')
  })

  test('a daemon that is killed and comes back is waited for', async ({signal}) => {
    const told: string[] = []
    await lab.command('kill', 's1')
    let again: Promise<void> | undefined
    const notify = (message: string): void => {
      told.push(message)
      again ??= lab.command('start', 's1')
    }
    const server = shape<{readonly auth: string}>({auth: text})
    expect(await lab.client.get({path: '/1.0', doing: 'look', signal, notify}, server)).toEqual({auth: 'trusted'})
    await again
    expect(told.length).toBeLessThanOrEqual(1)
  })

  test('a command has its streams, and an end', async ({signal}) => {
    const {client} = lab
    const common = {signal, doing: 'try it'}
    await client.run({
      ...common,
      method: 'POST',
      path: at('instances'),
      json: {name: 'exec', source: {type: 'image', alias: lab.image}, start: true},
    })
    const begun = await client.begin({
      ...common,
      method: 'POST',
      path: at('instances', 'exec', 'exec'),
      json: {command: ['sh', '-c', 'cat; echo wrong >&2; exit 9'], 'wait-for-websocket': true, interactive: false},
    })
    const fds = dictionary(text)(begun.operation.metadata['fds'], 'fds')
    const open = async (fd: string) => {
      const socket = await client.socket({...common, path: `${begun.path}/websocket`, query: {...begun.query, secret: fds[fd]}})
      return socket.bytes('empty-text').on('error', () => undefined)
    }
    const [stdin, stdout, stderr] = [await open('0'), await open('1'), await open('2')]
    await open('control')
    const content = Buffer.from(Array.from({length: 2_000_000}, (_none, index) => index % 251))
    stdin.end(content)
    expect((await buffer(stdout)).equals(content)).toBe(true)
    expect(String(await buffer(stderr))).toBe('wrong\n')
    expect((await begun.ended())['return']).toBe(9)
    await client.run({...common, method: 'PUT', path: at('instances', 'exec', 'state'), json: {action: 'stop', force: true}})
    await client.run({...common, method: 'DELETE', path: at('instances', 'exec')})
    expect(await client.find({...common, path: at('instances', 'exec')}, anything)).toBeUndefined()
    expect(await readFile(lab.members[0]?.socketPath.replace('lib/incus/unix.socket', 'log/incus/incusd.log') ?? '', 'utf8')).not.toContain(
      'panic',
    )
  })
})

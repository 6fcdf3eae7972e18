import {execFileSync} from 'node:child_process'
import {existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, statSync} from 'node:fs'
import {basename, join} from 'node:path'

import {expect, inject} from 'vitest'

import {needsRoot} from '../support/programs.ts'
import {eventually} from '../support/vm-guests.ts'
import {isAlive, qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'

/** VMs on a mesh: they reach each other by name, whatever is restarted or killed, and nobody else is on it. */
const {lab, step} = scenario('mesh')

const block = (name: string, body = ''): string => `vm "${name}" {
    image ${JSON.stringify(inject('micro'))}
    memory 192
    ssh { user "dev"; }
    cloud-init {}
    ${body}
}
`
const stack = ['shop.db', 'shop.web-0', 'shop.web-1']
const vmfile = (...more: readonly string[]): void => {
  lab.vmfile(
    ['project "shop"', 'network "default"', block('db'), block('web', 'replicas 2'), ...more.map((name) => block(name))].join('\n'),
  )
}
interface Results {
  readonly vms: readonly {readonly name: string; readonly state: string; readonly actions: readonly {readonly action: string}[]}[]
}
const directory = join(lab.stateDirectory, 'networks/shop.default')
const hubPid = (): number => Number(JSON.parse(readFileSync(join(directory, 'hub.json'), 'utf8')).pid)

/** The address that a name has in a guest, when the guest that answers there says that it is the expected one. */
const reach = (from: string, name: string): Promise<string> =>
  eventually(async () => (await lab.guest(from, `sudo ping -c 1 -W 2 ${name}`)).replace(/[^]*?\((\S+)\)[^]*/, '$1'), {
    timeoutMs: 20_000,
  })

step('up starts the VMs and one hub; each has its address', async () => {
  vmfile()
  const {vms} = await lab.json<Results>('up')
  expect(vms.map(({name, state}) => `${name} ${state}`)).toEqual(stack.map((name) => `${name} running`))
  expect(isAlive(hubPid())).toBe(true)
  expect(await lab.guest('shop.web-1', 'ip -4 addr show dev eth1')).toContain('inet 10.10.0.4/24')
  expect(await lab.guest('shop.web-1', 'ip route show default')).toMatch(/^default via 10\.0\.2\.2 dev eth0/)
})

step('they resolve and reach each other by host name, VM name and service, in both directions', async () => {
  expect(await reach('shop.db', 'web')).toBe('10.10.0.3')
  expect(await reach('shop.db', 'web-1')).toBe('10.10.0.4')
  expect(await reach('shop.web-0', 'db')).toBe('10.10.0.2')
  expect(await reach('shop.web-1', 'web-0')).toBe('10.10.0.3')
  await lab.guest('shop.db', 'sudo sh -c "(while :; do hostname | nc -l -p 5432; done) >/dev/null 2>&1 &"')
  expect(await lab.guest('shop.web-0', 'nc -w 5 db 5432 </dev/null')).toBe('db')
})

step('nothing of it listens on TCP or UDP or joins a multicast group, and no socket is open to others', () => {
  const pids = [...qemusBelow(lab.root).map(({pid}) => pid), hubPid()]
  for (const pid of pids) {
    const inodes = new Set(
      readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
        const [, inode] = /^socket:\[(\d+)\]$/.exec(readlink(`/proc/${pid}/fd/${fd}`)) ?? []
        return inode === undefined ? [] : [inode]
      }),
    )
    const sockets = ['tcp', 'tcp6', 'udp', 'udp6', 'raw', 'packet'].flatMap((table) =>
      readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
        .split('\n')
        .slice(1)
        .map((line) => ({table, words: line.trim().split(/\s+/)}))
        .filter(({words}) => words.some((word) => inodes.has(word))),
    )
    // The forward to SSH, on loopback.
    for (const {table, words} of sockets) expect(`${table} ${words[1]}`).toMatch(/^tcp 0100007F:/)
    expect(sockets.length).toBeLessThanOrEqual(pid === hubPid() ? 0 : 10)
  }
  const paths = [directory, ...stack.map(lab.directory)].flatMap((path) => readdirSync(path).map((entry) => join(path, entry)))
  const sockets = paths.filter((path) => lstatSync(path).isSocket())
  expect(sockets.filter((path) => /^(?:mesh-|hub)/.test(basename(path)))).toHaveLength(4)
  for (const path of sockets) {
    expect(statSync(path).mode & 0o077, path).toBe(0)
    expect(statSync(join(path, '..')).mode & 0o777, path).toBe(0o700)
  }
})

step('another user of the host cannot connect to them', (context) => {
  const missing = needsRoot()
  if (missing !== undefined) context.skip(missing)
  const socket = readdirSync(lab.directory('shop.db')).find((entry) => entry.startsWith('mesh-')) ?? ''
  const attempt = `require('node:net').connect(${JSON.stringify(join(lab.directory('shop.db'), socket))}).on('error', (error) => console.log(error.code))`
  const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, '-e', attempt]
  expect(execFileSync('setpriv', asNobody, {encoding: 'utf8'}).trim()).toBe('EACCES')
})

step('a VM that is restarted comes back under its name', async () => {
  await lab.ok('stop', 'shop.db')
  expect(isAlive(hubPid())).toBe(true)
  await lab.ok('up')
  expect(await reach('shop.web-1', 'db')).toBe('10.10.0.2')
  expect(await reach('shop.db', 'web-0')).toBe('10.10.0.3')
})

step('a hub that is killed harms no VM, and status and ps say so; the next command that reaches one starts another', async () => {
  const [before, qemus] = [hubPid(), qemusBelow(lab.root).map(({pid}) => pid)]
  process.kill(before, 'SIGKILL')
  await eventually(() => expect(isAlive(before)).toBe(false))
  const problems = ['the hub of its network shop.default is gone; `vmctl up` brings it back']
  expect((await lab.status('shop.db')).problems).toEqual(problems)
  expect((await lab.ok('ps')).stderr).toContain(`shop.web-0: ${problems[0]}`)
  expect(await reach('shop.web-0', 'db')).toBe('10.10.0.2')
  expect(hubPid()).not.toBe(before)
  expect(await reach('shop.db', 'web-1')).toBe('10.10.0.4')
  expect(qemusBelow(lab.root).map(({pid}) => pid)).toEqual(qemus)
})

step('a VM that comes later is known to those that run, which stay as they are', async () => {
  const qemus = qemusBelow(lab.root).map(({pid}) => pid)
  vmfile('cache')
  const {vms} = await lab.json<Results>('up')
  expect(Object.fromEntries(vms.map(({name, actions}) => [name, actions.map(({action}) => action).join(' ')]))).toEqual({
    'shop.db': 'configure',
    'shop.web-0': 'configure',
    'shop.web-1': 'configure',
    'shop.cache': 'create start wait',
  })
  expect(await reach('shop.db', 'cache')).toBe('10.10.0.5')
  expect(await reach('shop.cache', 'web')).toBe('10.10.0.3')
  expect(qemusBelow(lab.root).map(({pid}) => pid)).toEqual(expect.arrayContaining(qemus))
})

step('when the last VM stops, the hub ends; the network stays', async () => {
  const pid = hubPid()
  const {networks} = await lab.json<{networks: {id: string; isUp: boolean; subnet: string}[]}>('network', 'ls')
  expect(networks).toMatchObject([{id: 'shop.default', isUp: true, subnet: '10.10.0.0/24'}])
  expect((await lab.jsonError('network', 'rm', 'default')).error).toMatchObject({code: 'vmctl::network::in_use'})
  await lab.ok('down')
  expect(isAlive(pid)).toBe(false)
  expect((await lab.json<{networks: {isUp: boolean}[]}>('network', 'ls')).networks).toMatchObject([{isUp: false}])
})

step('when the last VM is destroyed, the network goes; its subnet is remembered until it is removed', async () => {
  await lab.ok('down', '--destroy')
  expect(existsSync(directory)).toBe(false)
  expect(JSON.parse(readFileSync(join(lab.stateDirectory, 'networks/subnets.json'), 'utf8'))).toEqual({'shop.default': '10.10.0.0/24'})
  expect((await lab.ok('network', 'ls')).stdout).toMatch(/^No networks\. /)
})

const readlink = (path: string): string => {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

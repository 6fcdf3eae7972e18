import {execFileSync, spawnSync} from 'node:child_process'
import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, expect, inject} from 'vitest'

import {needsRoot} from '../support/programs.ts'
import {eventually} from '../support/vm-guests.ts'
import {expectFailure, expectSuccess, type Outcome} from '../support/vm-lab.ts'
import {isAlive, qemusBelow} from '../support/vm-processes.ts'
import {needs, scenario} from '../support/vm-scenario.ts'

/** A network with a bridge of its own, in a network namespace of the test's own, behind which lies another one. */
const {lab, step} = scenario('bridge', {missing: needsRoot() ?? needs('ip', 'dnsmasq', 'nft', 'setpriv')})

const here = `vmctl-bridge-${process.pid}`
const outside = `${here}-out`
const inside = ['ip', 'netns', 'exec', here]
const ip = (...words: readonly string[]): string => execFileSync('ip', ['-n', here, ...words], {encoding: 'utf8'})
const vmctl = (...args: readonly string[]): Promise<Outcome> => lab.run(args, {prefix: inside})
const guest = async (name: string, command: string): Promise<string> => expectSuccess(await vmctl('ssh', name, '--', command)).stdout.trim()

const block = (name: string, body: string): string => `vm "${name}" {
    image ${JSON.stringify(inject('micro'))}
    memory 192
    ssh { user "dev"; }
    cloud-init {}
    ${body}
}
`
const vmfile = (network: string, ...blocks: readonly string[]): void => lab.vmfile(['project "shop"', network, ...blocks].join('\n'))
const front = (settings = ''): string => `network "front" { driver "bridge"; ${settings} }`
const web = block('web', 'replicas 2\n    network "front"')

const directory = join(lab.stateDirectory, 'networks/shop.front')
const record = () => JSON.parse(readFileSync(join(directory, 'network.json'), 'utf8'))
const dnsmasqPid = (): number => Number(JSON.parse(readFileSync(join(directory, 'dnsmasq.json'), 'utf8')).pid)

/** Everything that a bridge could leave behind in the namespace. */
const traces = (): string[] => [
  ...ip('-o', 'link', 'show')
    .split('\n')
    .filter((line) => /^\d+: (?:vmbr-|vmctl|front0)/.test(line)),
  ...spawnSync('ip', [...inside.slice(1), 'nft', 'list', 'tables'], {encoding: 'utf8'})
    .stdout.split('\n')
    .filter(Boolean),
  ...dnsmasqs(),
]
const dnsmasqs = (): string[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')]
      } catch {
        return []
      }
    })
    .filter((line) => line.startsWith('dnsmasq') && line.includes(lab.root))

/** What the SSH server of a guest says to somebody in a namespace; empty when there is no way. */
const banner = (namespace: string, address: string): string => {
  const script = `const socket = require('node:net').connect(22, '${address}')
    socket.setTimeout(3000, () => process.exit()).on('error', () => process.exit()).once('data', (data) => { console.log(String(data)); process.exit() })`
  return spawnSync('ip', ['netns', 'exec', namespace, process.execPath, '-e', script], {encoding: 'utf8'}).stdout
}

afterAll(() => {
  for (const namespace of [here, outside]) spawnSync('ip', ['netns', 'delete', namespace], {stdio: 'ignore'})
})

step('without CAP_NET_ADMIN it is an error that says so, and nothing is made', async () => {
  for (const namespace of [here, outside]) {
    execFileSync('ip', ['netns', 'add', namespace])
    execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up'])
  }
  ip('link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'down0', 'netns', outside)
  ip('address', 'add', '192.0.2.1/24', 'dev', 'up0')
  ip('link', 'set', 'up0', 'up')
  execFileSync('ip', ['-n', outside, 'address', 'add', '192.0.2.2/24', 'dev', 'down0'])
  execFileSync('ip', ['-n', outside, 'link', 'set', 'down0', 'up'])
  vmfile(front(), web)
  const outcome = await lab.run(['up'], {prefix: [...inside, 'setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']})
  expect(outcome.exitCode, outcome.stderr).not.toBe(0)
  expect(outcome.stderr).toContain('CAP_NET_ADMIN')
  expect(outcome.stderr).toContain('vmctl::network::permission')
  expect(traces()).toEqual([])
})

step('a subnet that the host is in is refused, and nothing is made', async () => {
  vmfile(front('subnet "192.0.2.0/25"'), web)
  const outcome = expectFailure(await vmctl('up'), 5, 'vmctl::network::subnet_taken')
  expect(outcome.stderr).toContain('192.0.2.0/24 on up0')
  expect(traces()).toEqual([])
})

step('up makes the bridge with its address, DHCP, DNS and NAT; each VM has the address that is on record', async () => {
  vmfile(front(), web)
  expectSuccess(await vmctl('up'))
  const {subnet, gateway, bridge, members} = record()
  expect([subnet, gateway]).toEqual(['172.16.0.0/24', '172.16.0.1'])
  expect(bridge).toMatch(/^vmbr-[0-9a-f]{10}$/)
  expect(ip('-4', 'address', 'show', 'dev', bridge)).toContain('inet 172.16.0.1/24')
  expect(ip('-o', 'link', 'show', 'master', bridge).split('\n').filter(Boolean)).toHaveLength(2)
  for (const name of ['shop.web-0', 'shop.web-1']) {
    const {ip: address, mac} = members[name]
    await eventually(async () => expect(await guest(name, 'ip -4 addr show dev eth1')).toContain(`inet ${address}/24`))
    expect(readFileSync(join(directory, 'dnsmasq.leases'), 'utf8')).toContain(`${mac} ${address}`)
    expect(banner(here, address)).toMatch(/^SSH-2/)
  }
})

step('the names are in /etc/hosts, and DNS gives all addresses of a service', async () => {
  expect(await guest('shop.web-0', 'sudo ping -c 1 -W 5 web-1')).toContain('(172.16.0.3)')
  expect(await guest('shop.web-1', 'sudo ping -c 1 -W 5 web')).toContain('(172.16.0.2)')
  const answer = await guest('shop.web-0', 'nslookup web.front.internal 172.16.0.1 || nslookup web 172.16.0.1')
  expect(answer).toContain('172.16.0.2')
  expect(answer).toContain('172.16.0.3')
})

step('a guest gets out by NAT; nobody outside gets in', async () => {
  await guest('shop.web-0', 'sudo ip route replace 192.0.2.0/24 via 172.16.0.1 dev eth1')
  expect(await guest('shop.web-0', 'sudo ping -c 1 -W 5 192.0.2.2')).toContain('1 packets received')
  execFileSync('ip', ['-n', outside, 'route', 'add', '172.16.0.0/24', 'via', '192.0.2.1'])
  expect(banner(outside, '172.16.0.2')).toBe('')
})

step('a dnsmasq that was killed is told, and started again by the next up; nothing else is', async () => {
  const [before, qemus] = [dnsmasqPid(), qemusBelow(lab.root).map(({pid}) => pid)]
  process.kill(before, 'SIGKILL')
  await eventually(() => expect(isAlive(before)).toBe(false))
  expect(expectSuccess(await vmctl('network', 'ls')).stdout).toContain('up, without its dnsmasq')
  expect(expectSuccess(await vmctl('status', 'shop.web-0')).stdout).toContain('the dnsmasq of its network shop.front is gone')
  expectSuccess(await vmctl('up'))
  expect(dnsmasqPid()).not.toBe(before)
  expect(dnsmasqs()).toHaveLength(1)
  expect(qemusBelow(lab.root).map(({pid}) => pid)).toEqual(qemus)
})

step('after kill -9 of every QEMU, down leaves no trace', async () => {
  for (const {pid} of qemusBelow(lab.root)) process.kill(pid, 'SIGKILL')
  await eventually(() => expect(qemusBelow(lab.root)).toEqual([]))
  expectSuccess(await vmctl('down'))
  expect(traces()).toEqual([])
})

step('the same addresses come back with the next up; down --destroy takes all of it', async () => {
  expectSuccess(await vmctl('up', '--no-provision'))
  expect(record().members['shop.web-1'].ip).toBe('172.16.0.3')
  expectSuccess(await vmctl('down', '--destroy'))
  expect(traces()).toEqual([])
  expect(existsSync(directory)).toBe(false)
})

step("a bridge that is somebody else's is not taken for one of our own, and an existing one is attached to", async () => {
  ip('link', 'add', 'front0', 'type', 'bridge')
  ip('link', 'set', 'front0', 'up')
  vmfile(front('bridge-name "front0"'), block('lan', 'network "front"'))
  expectFailure(await vmctl('up', '--no-provision'), 4, 'vmctl::network::failed')
  expectSuccess(await vmctl('down', '--destroy'))
  expect(ip('-o', 'link', 'show', 'front0')).toContain('state')
  vmfile('network "front" { driver "external"; bridge-name "front0"; }', block('lan', 'network "front"'))
  expectSuccess(await vmctl('up', '--no-provision'))
  expect(ip('-o', 'link', 'show', 'master', 'front0')).toMatch(/vmctl[0-9a-f]{10}/)
  expectSuccess(await vmctl('down', '--destroy'))
  expect(ip('-o', 'link', 'show', 'master', 'front0')).toBe('')
  ip('link', 'delete', 'front0')
})

import {createSocket} from 'node:dgram'
import {once} from 'node:events'
import {createServer} from 'node:net'
import {basename} from 'node:path'

import {expect, test} from 'vitest'

import {isVmctlError} from '../../model/errors.ts'
import type {ForwardedPort, PortForward} from '../../model/port.ts'
import {sshForward} from '../../model/port.ts'
import {chooseMacAddress, choosePorts, type PortChoice, preferredPorts} from './addresses.ts'

const choice = (change: Partial<PortChoice> = {}): PortChoice => ({name: 'web', last: [], held: [], isBinding: false, ...change})
const ssh = sshForward
const held = (host: number, isAtRest = true, bind = '127.0.0.1') => ({protocol: 'tcp', bind, host, vm: 'db', isAtRest}) as const
const fixed = (host: number, change: Partial<ForwardedPort> = {}): ForwardedPort => ({
  protocol: 'tcp',
  bind: '127.0.0.1',
  host,
  guest: 80,
  ...change,
})
const free: PortForward = {protocol: 'tcp', bind: '127.0.0.1', guest: 80}
const hostsOf = async (wanted: readonly PortForward[], change?: Partial<PortChoice>): Promise<number[]> =>
  (await choosePorts(wanted, choice(change))).map(({host}) => host)
const refusal = async (wanted: readonly PortForward[], change?: Partial<PortChoice>): Promise<string> => {
  const error: unknown = await choosePorts(wanted, choice(change)).catch((caught: unknown) => caught)
  return isVmctlError(error) ? `${error.code} ${error.message}` : String(error)
}

test("the book's range, each port once, beginning where the name says", () => {
  const ports = preferredPorts('web')
  expect(ports.toSorted((left, right) => left - right)).toEqual(Array.from({length: 101}, (_, index) => 10_022 + index))
  expect(preferredPorts('web')).toEqual(ports)
  expect(new Set(Array.from({length: 50}, (_, index) => preferredPorts(`vm-${index}`)[0])).size).toBeGreaterThan(10)
})

test('the last SSH port is kept when it is free, wherever it lies', async () => {
  const last = [{...ssh, host: 20_000}]
  const [first, second] = preferredPorts('web')
  expect(await hostsOf([ssh], {last})).toEqual([20_000])
  expect(await hostsOf([ssh], {last, held: [held(20_000)]})).toEqual([first])
  expect(await hostsOf([ssh], {held: [held(first ?? 0)]})).toEqual([second])
  expect(await hostsOf([ssh], {avoid: [fixed(first ?? 0)]})).toEqual([second])
})

test('when the range is full, any other port will do, but none that another VM has', async () => {
  const [port = 0] = await hostsOf([ssh], {held: preferredPorts('web').map((host) => held(host))})
  expect(preferredPorts('web')).not.toContain(port)
  expect(port).toBeGreaterThan(1023)
})

test('a chosen port is the same each time, below the ports of outgoing connections, and never one that is fixed', async () => {
  const [first = 0] = await hostsOf([free])
  expect(first).toBeGreaterThanOrEqual(20_000)
  expect(first).toBeLessThan(30_000)
  expect(await hostsOf([free])).toEqual([first])
  const [chosen, other] = await hostsOf([free, fixed(first)])
  expect(other).toBe(first)
  expect(chosen).not.toBe(first)
  const [one, two] = await hostsOf([free, free])
  expect(one).not.toBe(two)
  const [preferred = 0] = preferredPorts('web')
  expect(await hostsOf([ssh, fixed(preferred)])).toEqual([preferredPorts('web')[1], preferred])
})

test('a port that was chosen is kept; of UDP and TCP each has its own', async () => {
  const udp = {...free, protocol: 'udp'} as const
  const last = [fixed(30_001), fixed(30_001, {protocol: 'udp'})]
  expect(await hostsOf([free, udp], {last})).toEqual([30_001, 30_001])
  expect(await hostsOf([{...free, guest: 81}], {last})).not.toEqual([30_001])
})

test('a fixed port of a VM that runs is refused by its name; one at rest gives way', async () => {
  expect(await refusal([fixed(8080)], {isBinding: true, held: [held(8080, false)]})).toBe(
    'vmctl::network::port_taken The port 127.0.0.1:8080/tcp is held by the VM db.',
  )
  expect(await refusal([fixed(8080, {bind: '0.0.0.0'})], {isBinding: true, held: [held(8080, false)]})).toContain('held by the VM db')
  expect(await refusal([fixed(8080)], {isBinding: true, held: [held(8080, false, '0.0.0.0')]})).toContain('held by the VM db')
  expect(await hostsOf([fixed(8080)], {held: [held(8080, false)]})).toEqual([8080])
  expect(await hostsOf([fixed(8080, {protocol: 'udp'})], {isBinding: true, held: [held(8080, false)]})).toEqual([8080])
})

test('a port of another program: a fixed one is refused by its name, a chosen one moves', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const {port} = server.address() as {port: number}
  try {
    expect(await refusal([fixed(port)], {isBinding: true})).toContain(`held by ${basename(process.argv0)} (process ${process.pid})`)
    expect(await refusal([fixed(port, {bind: '0.0.0.0'})], {isBinding: true})).toContain('port_taken')
    expect(await hostsOf([fixed(port)], {isBinding: true, own: [fixed(port)]})).toEqual([port])
    expect(await hostsOf([free], {isBinding: true, last: [fixed(port)]})).not.toEqual([port])
    expect(await hostsOf([fixed(port)])).toEqual([port])
  } finally {
    server.close()
  }
})

test('a UDP port of another program, also one that would share it', async () => {
  const socket = createSocket({type: 'udp4', reuseAddr: true})
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const udp = fixed(socket.address().port, {protocol: 'udp'})
  try {
    expect(await refusal([udp], {isBinding: true})).toContain(`(process ${process.pid})`)
  } finally {
    socket.close()
  }
})

test('an address that the host does not have', async () => {
  expect(await refusal([fixed(8080, {bind: '192.0.2.1'})], {isBinding: true})).toBe(
    'vmctl::network::port_refused The port 192.0.2.1:8080/tcp cannot be listened on: 192.0.2.1 is no address of the host.',
  )
})

test('MAC addresses are unicast, local, random and unlike the ones of others', () => {
  const addresses = Array.from({length: 200}, () => chooseMacAddress(new Set()))
  for (const address of addresses) expect(address).toMatch(/^52:54:00(:[0-9a-f]{2}){3}$/)
  expect(new Set(addresses).size).toBe(200)
  let asked = 0
  const refusing = {
    has: () => asked++ < 5,
  } as unknown as ReadonlySet<string>
  chooseMacAddress(refusing)
  expect(asked).toBe(6)
})

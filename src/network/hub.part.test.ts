import {mkdirSync, readFileSync, rmSync, statSync} from 'node:fs'
import {createServer, type Server, type Socket} from 'node:net'
import {join} from 'node:path'

import {afterEach, expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {eventually} from '../../test/support/vm-guests.ts'
import {isAlive, parseIdentity} from '../host/proc.ts'
import {meshSocket, networkFiles} from '../model/layout.ts'
import type {NetworkSpec} from '../model/network.ts'
import {askHub, endHub, startHub} from './hub-client.ts'
import {runHub} from './hub.ts'
import {joinNetwork, removeNetwork, startNetwork, stopNetwork} from './network.ts'
import {networkDirectory, type NetworkRecord, networkStore, withNetworkLock} from './record.ts'

const {signal} = new AbortController()
const spec: NetworkSpec = {id: 'shop.default', name: 'default', driver: 'mesh', dhcp: false, dns: false, nat: false}

/** What QEMU does on its end of a mesh: it listens, and serves one peer at a time. */
interface FakeQemu {
  /** Bytes that came, frames behind their lengths. */
  readonly received: () => Buffer
  readonly connections: () => number
  say(...frames: Buffer[]): void
  /** Stops to read, as a suspended guest with a full ring does. */
  stall(): void
  wait(): Promise<void>
  close(): void
}

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const fakeQemu = async (vmsDirectory: string, name: string): Promise<FakeQemu> => {
  const chunks: Buffer[] = []
  let peer: Socket | undefined
  let connections = 0
  const server: Server = createServer({pauseOnConnect: false}, (socket) => {
    connections++
    peer = socket
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      if (peer === socket) peer = undefined
    })
  })
  mkdirSync(join(vmsDirectory, name), {recursive: true})
  const path = join(vmsDirectory, name, meshSocket(spec.id))
  rmSync(path, {force: true})
  await new Promise<void>((resolve) => {
    server.listen(path, resolve)
  })
  const close = (): void => {
    server.close()
    peer?.destroy()
  }
  cleanups.push(close)
  return {
    received: () => Buffer.concat(chunks),
    connections: () => connections,
    say: (...frames) => void peer?.write(Buffer.concat(frames)),
    stall: () => void peer?.pause(),
    wait: () => eventually(() => expect(peer, `${name} is connected`).toBeDefined(), {everyMs: 5}),
    close,
  }
}

const frame = (to: number, from: number, size = 50): Buffer => {
  const content = Buffer.alloc(14 + size)
  content.writeUIntBE(to === 255 ? 0xff_ff_ff_ff_ff_ff : 0x02_00_00_00_00_00 + to, 0, 6)
  content.writeUIntBE(0x02_00_00_00_00_00 + from, 6, 6)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(content.length)
  return Buffer.concat([length, content])
}

const makeNetwork = async (...names: string[]) => {
  const store = networkStore(join(temporaryDirectory(), 'state'))
  const record = await joinNetwork(store, spec, {
    candidates: names.map((vm) => ({vm, hostname: vm, service: vm})),
    isComplete: true,
    isGone: () => false,
    signal,
  })
  const directory = networkDirectory(store, spec.id)
  const places = {directory, vmsDirectory: store.vmsDirectory}
  cleanups.push(() => endHub(directory))
  return {store, record, places, directory}
}

const inProcess = async (places: {directory: string; vmsDirectory: string}, idleMs = 60_000): Promise<{readonly ended: Promise<void>}> => {
  const hub = runHub({...places, idleMs, scanMs: 20})
  cleanups.push(() => hub)
  cleanups.push(() => askHub(places.directory, 'end'))
  await eventually(async () => expect(await askHub(places.directory, 'scan')).toBeDefined(), {everyMs: 5})
  return {ended: hub}
}

test('frames go from member to member; one that comes later, or again, is found', async () => {
  const {places} = await makeNetwork('a', 'b', 'c')
  const [a, b] = [await fakeQemu(places.vmsDirectory, 'a'), await fakeQemu(places.vmsDirectory, 'b')]
  await inProcess(places)
  await Promise.all([a.wait(), b.wait()])
  a.say(frame(255, 1))
  await eventually(() => expect(b.received()).toEqual(frame(255, 1)), {everyMs: 5})
  const c = await fakeQemu(places.vmsDirectory, 'c')
  await c.wait()
  c.say(frame(1, 3))
  await eventually(() => expect(a.received()).toEqual(frame(1, 3)), {everyMs: 5})
  expect(b.received()).toEqual(frame(255, 1))
  c.close()
  const again = await fakeQemu(places.vmsDirectory, 'c')
  await again.wait()
  a.say(frame(3, 1))
  await eventually(() => expect(again.received()).toEqual(frame(3, 1)), {everyMs: 5})
  expect(Object.keys((await askHub(places.directory, 'status'))?.connected ?? {}).toSorted()).toEqual(['a', 'b', 'c'])
})

test('a receiver that stalls loses frames, and holds up nobody', async () => {
  const {places} = await makeNetwork('a', 'b', 'c')
  const members = await Promise.all(['a', 'b', 'c'].map((name) => fakeQemu(places.vmsDirectory, name)))
  const [a, b, c] = members as [FakeQemu, FakeQemu, FakeQemu]
  await inProcess(places)
  await Promise.all(members.map((member) => member.wait()))
  b.stall()
  for (let round = 0; round < 200; round++) a.say(...Array.from({length: 100}, () => frame(2, 1, 1400)))
  a.say(frame(255, 1, 7))
  await eventually(() => expect(c.received().subarray(-25)).toEqual(frame(255, 1, 7)), {everyMs: 10})
  const port = (await askHub(places.directory, 'status'))?.connected.b
  expect(port?.dropped).toBeGreaterThan(10_000_000)
  // What the kernel's buffers and our queue hold; the rest of the 28 MB was not kept.
  expect(port?.sent).toBeLessThan(6_000_000)
})

test('a stream that is out of step is cut, and begun anew', async () => {
  const {places} = await makeNetwork('a', 'b')
  const [a, b] = [await fakeQemu(places.vmsDirectory, 'a'), await fakeQemu(places.vmsDirectory, 'b')]
  await inProcess(places)
  await Promise.all([a.wait(), b.wait()])
  a.say(frame(255, 1).subarray(0, 9), Buffer.alloc(2000, 0x7f))
  await eventually(() => expect(a.connections()).toBe(2), {everyMs: 5})
  await a.wait()
  const before = b.received().length
  a.say(frame(255, 1))
  await eventually(() => expect(b.received().length).toBeGreaterThan(before), {everyMs: 5})
  expect(b.received().subarray(-frame(255, 1).length)).toEqual(frame(255, 1))
})

test('it ends when no member was there for a while, and when its network is gone; a second one for a network ends at once', async () => {
  const {places, directory} = await makeNetwork('a')
  const {ended} = await inProcess(places)
  await runHub(places)
  rmSync(networkFiles(directory).record)
  await ended
  const idle = await makeNetwork('a')
  await (
    await inProcess(idle.places, 100)
  ).ended
  expect(await askHub(idle.directory, 'status')).toBeUndefined()
})

const pidOf = (directory: string): number => parseIdentity(readFileSync(networkFiles(directory).hubProcess, 'utf8'))?.pid ?? 0

test('as a process: whoever needs it starts one, once; it survives, is replaced when it was killed, and is ended', async () => {
  const {places, directory, store, record} = await makeNetwork('a', 'b')
  const [a, b] = [await fakeQemu(places.vmsDirectory, 'a'), await fakeQemu(places.vmsDirectory, 'b')]
  await Promise.all([1, 2, 3].map(() => startNetwork(store, record, signal)))
  await Promise.all([a.wait(), b.wait()])
  expect([a.connections(), b.connections()]).toEqual([1, 1])
  const files = networkFiles(directory)
  for (const path of [files.hubSocket, files.hubLock, files.hubProcess, files.hubLog]) expect(statSync(path).mode & 0o077, path).toBe(0)
  expect(statSync(directory).mode & 0o777).toBe(0o700)
  const first = pidOf(directory)
  process.kill(first, 'SIGKILL')
  await eventually(() => expect(a.connections()).toBe(1))
  await startNetwork(store, record, signal)
  expect(pidOf(directory)).not.toBe(first)
  await eventually(() => expect([a.connections(), b.connections()]).toEqual([2, 2]))
  a.say(frame(255, 1))
  await eventually(() => expect(b.received()).toEqual(frame(255, 1)))
  const second = parseIdentity(readFileSync(files.hubProcess, 'utf8'))
  await stopNetwork(store, record)
  expect(second && (await isAlive(second))).toBe(false)
  await withNetworkLock(store, {purpose: 'test', signal}, () => removeNetwork(store, record, {forget: false}))
  expect(() => statSync(directory)).toThrow('ENOENT')
})

test('one that no longer answers is ended by force, and only if it is the one on record', async () => {
  const {places, directory} = await makeNetwork('a')
  await startHub(places, signal)
  const identity = parseIdentity(readFileSync(networkFiles(directory).hubProcess, 'utf8'))
  process.kill(identity?.pid ?? 0, 'SIGSTOP')
  await endHub(directory)
  expect(identity && (await isAlive(identity))).toBe(false)
}, 30_000)

test('addresses are chosen by one at a time', async () => {
  const {store} = await makeNetwork()
  const names = Array.from({length: 12}, (_, index) => `vm${index}`)
  const join1 = (vm: string): Promise<NetworkRecord> =>
    joinNetwork(store, spec, {candidates: [{vm, hostname: vm, service: vm}], isComplete: false, isGone: () => false, signal})
  const records = await Promise.all(names.map(join1))
  const addresses = records.map((record, index) => record.members[names[index] ?? '']?.ip)
  expect(new Set(addresses).size).toBe(12)
  expect((await join1('vm3')).members.vm3?.ip).toBe(addresses[3])
})

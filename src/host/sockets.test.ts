import {once} from 'node:events'
import {mkdirSync} from 'node:fs'
import {createServer, type Server, type Socket} from 'node:net'
import {join} from 'node:path'

import {expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {connectTcp, connectUnix, reuseReadMemory, tryPort} from './sockets.ts'

/** A server that sends 8 MiB in which every word is its own place. */
const serveNumbers = async (): Promise<Socket> => {
  const server = createServer((socket) => socket.on('error', () => undefined).end(Buffer.from(numbers.buffer)))
  server.listen({host: '127.0.0.1', port: 0})
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return connectTcp('127.0.0.1', portOf(server), never)
}
const numbers = Uint32Array.from({length: 2 ** 21}, (_, index) => index)

const never = new AbortController().signal

const serve = async (listen: {path: string} | {host: string; port: number}): Promise<Server> => {
  const server = createServer((socket) => socket.on('error', () => undefined).end('hello'))
  server.listen(listen)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return server
}

const portOf = (server: Server): number => {
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}

const everything = async (socket: Socket): Promise<string> => (await Array.fromAsync(socket)).join('')

/** A directory whose `sock` has a path of exactly so many bytes. */
const directoryFor = (bytes: number): string => {
  let directory = temporaryDirectory()
  for (
    let missing = bytes - Buffer.byteLength(join(directory, 'sock'));
    missing > 0;
    missing = bytes - Buffer.byteLength(join(directory, 'sock'))
  ) {
    directory = join(directory, 'd'.repeat(missing > 101 ? 99 : missing - 1))
  }
  mkdirSync(directory, {recursive: true})
  return directory
}

test.each([60, 106, 107])('a socket with a path of %i bytes is reached directly', async (bytes) => {
  const path = join(directoryFor(bytes), 'sock')
  expect(Buffer.byteLength(path)).toBe(bytes)
  await serve({path})
  expect(await everything(await connectUnix(path, never))).toBe('hello')
})

test.each([108, 109, 200, 1000])('a socket with a path of %i bytes is reached through its directory', async (bytes) => {
  const directory = directoryFor(bytes)
  const path = join(directory, 'sock')
  expect(Buffer.byteLength(path)).toBe(bytes)
  const old = process.cwd()
  process.chdir(directory)
  try {
    await serve({path: 'sock'})
  } finally {
    process.chdir(old)
  }
  expect(await everything(await connectUnix(path, never))).toBe('hello')
})

test('a socket that is not there, or that nobody listens to, is an error', async () => {
  const directory = temporaryDirectory()
  await expect(connectUnix(join(directory, 'sock'), never)).rejects.toMatchObject({code: 'ENOENT'})
  await expect(connectUnix(join(directory, 'x'.repeat(120), 'sock'), never)).rejects.toMatchObject({code: 'ENOENT'})
  const port = await tryPort(0)
  await expect(connectTcp('127.0.0.1', port ?? 0, never)).rejects.toMatchObject({code: 'ECONNREFUSED'})
})

test('an abort ends the attempt with its reason', async () => {
  const reason = new Error('enough')
  await expect(connectTcp('127.0.0.1', 1, AbortSignal.abort(reason))).rejects.toBe(reason)
  const abort = new AbortController()
  // Nothing answers in the same turn of the event loop, not even a refusal.
  const attempt = connectTcp('127.0.0.1', 1, abort.signal)
  abort.abort(reason)
  await expect(attempt).rejects.toBe(reason)
})

test('a port is free until somebody has it', async () => {
  const server = await serve({host: '127.0.0.1', port: 0})
  const port = portOf(server)
  expect(await tryPort(port)).toBeUndefined()
  const [left, right] = await Promise.all([tryPort(0), tryPort(0)])
  expect(left).toBeGreaterThan(0)
  expect(right).toBeGreaterThan(0)
  server.close()
  await once(server, 'close')
  expect(await tryPort(port)).toBe(port)
})

test('a port that somebody has on all addresses is taken', async () => {
  const server = await serve({host: '0.0.0.0', port: 0})
  expect(await tryPort(portOf(server))).toBeUndefined()
})

test('what a TCP socket brings stays as it is, however long it is kept', async () => {
  const socket = await serveNumbers()
  expect(Buffer.concat(await Array.fromAsync<Buffer>(socket)).equals(Buffer.from(numbers.buffer))).toBe(true)
})

test('on request all reads go into the same memory, but never over what waits for its reader', async () => {
  const socket = await serveNumbers()
  reuseReadMemory(socket)
  const copies: Buffer[] = []
  const memories = new Set<ArrayBufferLike>()
  socket.on('data', (chunk: Buffer) => {
    memories.add(chunk.buffer)
    copies.push(Buffer.from(chunk))
    if (copies.length % 5 > 0) return
    socket.pause()
    setTimeout(() => socket.resume(), 1)
  })
  await once(socket, 'close')
  expect(Buffer.concat(copies).equals(Buffer.from(numbers.buffer))).toBe(true)
  // One at first, one that is reused, and one more for each pause at most.
  expect(memories.size).toBeLessThanOrEqual(2 + Math.ceil(copies.length / 5))
})

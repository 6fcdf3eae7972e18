import {once} from 'node:events'
import {mkdirSync} from 'node:fs'
import {createServer, type Server, type Socket} from 'node:net'
import {join} from 'node:path'

import {expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {connectTcp, connectUnix, tryPort} from './sockets.ts'

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

import {createSocket} from 'node:dgram'
import {chmod, open, rm} from 'node:fs/promises'
import {connect, createServer, isIPv6, type Server, type Socket} from 'node:net'
import {basename, dirname} from 'node:path'
import type {Duplex} from 'node:stream'

import {systemCode} from '../model/errors.ts'

/** sizeof(sun_path) - 1 on Linux (unix(7)). */
const longestSocketPath = 107

const connected = async (begin: () => Socket, signal: AbortSignal): Promise<Socket> => {
  signal.throwIfAborted()
  const socket = begin()
  const abort = (): void => {
    socket.destroy()
  }
  signal.addEventListener('abort', abort, {once: true})
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
      socket.once('close', () => {
        reject(signal.aborted ? signal.reason : new Error('The connection was closed.'))
      })
    })
    return socket
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Connects to a TCP port of a numeric address or host name. */
export const connectTcp = (host: string, port: number, signal: AbortSignal): Promise<Socket> =>
  connected(() => {
    let room = Buffer.allocUnsafeSlow(readBytes.room)
    let reused: Buffer | undefined
    const buffer = (): Buffer => {
      // What waits in the stream must not be written over.
      if (reused && socket.readableLength > 0) reused = Buffer.allocUnsafeSlow(readBytes.reused)
      if (room.length < readBytes.least) room = Buffer.allocUnsafeSlow(readBytes.room)
      return reused ?? room
    }
    const callback = (bytes: number, into: Uint8Array): boolean => {
      if (into === room) room = room.subarray(bytes)
      return socket.push(Buffer.from(into.buffer, into.byteOffset, bytes))
    }
    const socket: Socket = connect({host, port, onread: {buffer, callback}})
    reusing.set(socket, () => (reused ??= Buffer.allocUnsafeSlow(readBytes.reused)))
    return socket
  }, signal)

/** Sizes of the memory that a socket is read into; `least` is worth a read. */
const readBytes = {room: 64 * 2 ** 10, least: 16 * 2 ** 10, reused: 2 ** 20} as const

const reusing = new WeakMap<Duplex, () => void>()

/**
 * From now on reads a socket of `connectTcp` into one large piece of memory, again and again: a fast sender costs a third less, most
 * of it garbage collection. Only for a reader that is done with the bytes when its listener for `data` returns.
 */
export const reuseReadMemory = (socket: Duplex): void => reusing.get(socket)?.()

/**
 * Connects to a Unix socket, whatever the length of its path: a path that the kernel would refuse is
 * shortened through the open directory (`/proc/self/fd/N/name`).
 */
export const connectUnix = async (path: string, signal: AbortSignal): Promise<Socket> => {
  if (Buffer.byteLength(path) <= longestSocketPath) return connected(() => connect({path}), signal)
  const directory = await open(dirname(path), 'r')
  try {
    return await connected(() => connect({path: `/proc/self/fd/${directory.fd}/${basename(path)}`}), signal)
  } finally {
    await directory.close()
  }
}

/** An address of the host that may be listened on. */
export interface Endpoint {
  readonly protocol: 'tcp' | 'udp'
  /** IPv4 or IPv6 literal. */
  readonly bind: string
  readonly port: number
}

/** Tries to take an endpoint for a moment. Resolves to the code of what is against it (`EADDRINUSE`, `EACCES`, …), or to undefined. */
export const tryEndpoint = ({protocol, bind, port}: Endpoint): Promise<string | undefined> =>
  new Promise((resolve) => {
    const refuse = (error: unknown): void => {
      resolve(systemCode(error) ?? 'unknown')
    }
    if (protocol === 'udp') {
      const socket = createSocket(isIPv6(bind) ? 'udp6' : 'udp4')
      socket.once('error', refuse)
      socket.bind({address: bind, port, exclusive: true}, () => {
        socket.close(() => {
          resolve(undefined)
        })
      })
      return
    }
    const server = createServer()
    server.once('error', refuse)
    server.listen({host: bind, port, exclusive: true}, () => {
      server.close(() => {
        resolve(undefined)
      })
    })
  })

/**
 * Listens on a Unix socket for this user only, in place of a file of that name, whatever the length of its path. Removing the
 * socket is left to the caller: Node would look for it under another name.
 */
export const listenUnix = async (server: Server, path: string): Promise<void> => {
  await rm(path, {force: true})
  const directory = await open(dirname(path), 'r')
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(`/proc/self/fd/${directory.fd}/${basename(path)}`, () => {
        server.off('error', reject)
        resolve()
      })
    })
    await chmod(path, 0o600)
  } finally {
    await directory.close()
  }
}

/** Tries to listen on a port of the loopback address. 0 asks the kernel for any. Resolves to the port, or to undefined when it is taken. */
export const tryPort = (port: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(undefined)
    })
    server.listen({host: '127.0.0.1', port, exclusive: true}, () => {
      const address = server.address()
      server.close(() => {
        resolve(typeof address === 'object' && address ? address.port : undefined)
      })
    })
  })

import {readFile, rm, stat} from 'node:fs/promises'
import {createServer, type Socket} from 'node:net'
import {join} from 'node:path'

import {writeFileAtomic} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import {identifyProcess} from '../host/proc.ts'
import {connectUnix, listenUnix} from '../host/sockets.ts'
import {isFailure} from '../model/errors.ts'
import {meshSocket, networkFiles} from '../model/layout.ts'
import {plugIn, type PortCounters} from './port.ts'
import {parseRecord} from './record.ts'
import {createSwitch} from './switch.ts'

/** What a hub answers to whoever asks on its socket. */
export interface HubStatus {
  readonly pid: number
  /** Members whose interface is connected now, by name in the store. */
  readonly connected: Readonly<Record<string, Readonly<PortCounters>>>
}

/** What a hub can be asked for, a word in a line: to say how it is, to look for members at once and then say, to end. */
export type HubRequest = 'status' | 'scan' | 'end'

export interface HubOptions {
  /** The network's directory. */
  readonly directory: string
  readonly vmsDirectory: string
  /** Milliseconds without any member after which the hub ends. */
  readonly idleMs?: number
  /** Milliseconds between two looks for members that came. */
  readonly scanMs?: number
}

/**
 * The switch of a mesh, for as long as it is needed: it connects to the socket that each member's QEMU listens on, connects again
 * to one that comes back, and ends when it is asked to, when the network is gone, or when no member was there for a while.
 *
 * Who may join is decided by the kernel: the sockets are in directories that only this user can enter.
 * @returns when it has ended; at once when another hub serves this network
 */
export const runHub = async ({directory, vmsDirectory, idleMs = 60_000, scanMs = 500}: HubOptions): Promise<void> => {
  const files = networkFiles(directory)
  await using lock = await acquireLock(files.hubLock, {purpose: 'mesh hub', timeoutMs: 0}).catch((error: unknown) => {
    if (isFailure(error, 'vmctl::vm::locked')) return undefined
    throw error
  })
  if (!lock) return
  const fabric = createSwitch()
  const connected = new Map<string, PortCounters>()
  const dialling = new Map<string, Promise<void>>()
  const sockets = new Set<Socket>()
  const over = new AbortController()
  let lastUse = performance.now()

  const dial = async (name: string, socketName: string): Promise<void> => {
    const socket = await connectUnix(join(vmsDirectory, name, socketName), AbortSignal.any([over.signal, AbortSignal.timeout(5000)])).catch(
      () => undefined,
    )
    if (!socket || over.signal.aborted) {
      socket?.destroy()
      return
    }
    sockets.add(socket)
    connected.set(name, plugIn(socket, fabric))
    socket.once('close', () => {
      connected.delete(name)
      sockets.delete(socket)
      lastUse = performance.now()
    })
  }

  const readMembers = memberReader(files.record)
  const scan = async (): Promise<void> => {
    const network = await readMembers()
    if (!network) {
      over.abort()
      return
    }
    for (const name of network.members) {
      if (connected.has(name) || dialling.has(name)) continue
      const attempt = dial(name, network.socketName).finally(() => dialling.delete(name))
      dialling.set(name, attempt)
    }
    await Promise.all(dialling.values())
  }

  const status = (): HubStatus => ({pid: process.pid, connected: Object.fromEntries(connected)})
  const server = createServer((client) => {
    sockets.add(client)
    client.once('close', () => sockets.delete(client))
    client.on('error', () => undefined)
    client.setTimeout(5000, () => client.destroy())
    client.once('data', (line) => {
      const request = line.toString().trim()
      lastUse = performance.now()
      void (request === 'scan' ? scan() : Promise.resolve()).then(() => {
        client.end(`${JSON.stringify(status())}\n`, () => {
          if (request === 'end') over.abort()
        })
      })
    })
  })

  await writeFileAtomic(files.hubProcess, `${JSON.stringify(await identifyProcess(process.pid))}\n`)
  await listenUnix(server, files.hubSocket)
  const timer = setInterval(() => {
    if (connected.size === 0 && performance.now() - lastUse > idleMs) over.abort()
    else void scan()
  }, scanMs)
  void scan()
  await new Promise((resolve) => {
    over.signal.addEventListener('abort', resolve, {once: true})
  })
  clearInterval(timer)
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => {
    server.close(resolve)
  })
  await Promise.all([files.hubSocket, files.hubProcess].map((path) => rm(path, {force: true})))
}

/** Reads who may be connected; only anew when the record was replaced. */
const memberReader = (path: string) => {
  let last: {readonly stamp: string; readonly network: {readonly members: readonly string[]; readonly socketName: string}} | undefined
  return async () => {
    const info = await stat(path, {bigint: true}).catch(() => undefined)
    if (!info) return undefined
    const stamp = `${info.ino} ${info.mtimeNs}`
    if (last?.stamp === stamp) return last.network
    const record = parseRecord(await readFile(path, 'utf8').catch(() => ''))
    if (!record) return last?.network ?? {members: [], socketName: ''}
    const network = {members: Object.keys(record.members), socketName: meshSocket(record.spec.id)}
    last = {stamp, network}
    return network
  }
}

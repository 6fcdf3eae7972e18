import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdir, writeFile} from 'node:fs/promises'
import {connect, createServer, type Socket} from 'node:net'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {inTurn, timesAsLong} from '../lib/measure.ts'
import type {Row} from '../lib/report.ts'
import {meshSocket} from '../../src/model/layout.ts'
import type {Workspace} from '../lib/workspace.ts'

const totalBytes = 128 * 2 ** 20
const frameBytes = 1514
/** What is under way at most, as with TCP between two guests. */
const windowBytes = 512 * 1024
const networkId = 'bench.default'

/** 128 MiB in Ethernet frames from one member of a mesh to another, through the hub, against a single Unix socket from end to end. */
export const mesh = async (workspace: Workspace): Promise<Row[]> => {
  const state = await workspace.directory('mesh', 'memory')
  const network = join(state, 'networks', networkId)
  await mkdir(network, {recursive: true})
  const ends: [Promise<Socket>, Promise<Socket>] = [
    listen(join(state, 'vms/a'), meshSocket(networkId), workspace),
    listen(join(state, 'vms/b'), meshSocket(networkId), workspace),
  ]
  const spec = {id: networkId, name: 'default', driver: 'mesh', dhcp: false, dns: false, nat: false}
  const members = {a: {mac: '02:00:00:00:00:01'}, b: {mac: '02:00:00:00:00:02'}}
  await writeFile(join(network, 'network.json'), JSON.stringify({schema: 1, spec, members}))
  const hub = spawn(process.execPath, [join(workspace.app, 'dist/network/hub-program.js'), network, join(state, 'vms')], {stdio: 'inherit'})
  workspace.atEnd(() => void hub.kill())
  const [a, b] = await Promise.all(ends)
  // The hub learns where b is.
  b.write(frames(1, 1, 2))
  await once(a, 'data')
  const direct = listen(join(state, 'vms/c'), 'direct.sock', workspace)
  await sleep(100)
  const sender = connect(join(state, 'vms/c/direct.sock'))
  const receiver = await direct
  const samples = await inTurn(
    {count: 5, warmUp: 1},
    () => transfer(a, b),
    () => transfer(sender, receiver),
  )
  return [timesAsLong({what: '128 MiB of frames through a mesh hub', referenceName: 'one Unix socket', samples})]
}

const listen = async (directory: string, name: string, workspace: Workspace): Promise<Socket> => {
  await mkdir(directory, {recursive: true})
  const server = createServer()
  workspace.atEnd(() => void server.close())
  server.listen(join(directory, name))
  const [socket] = (await once(server, 'connection')) as [Socket]
  workspace.atEnd(() => void socket.destroy())
  return socket
}

const frames = (count: number, to: number, from: number): Buffer => {
  const one = Buffer.alloc(4 + frameBytes)
  one.writeUInt32BE(frameBytes)
  one.writeUIntBE(0x02_00_00_00_00_00 + to, 4, 6)
  one.writeUIntBE(0x02_00_00_00_00_00 + from, 10, 6)
  return Buffer.concat(Array.from({length: count}, () => one))
}

/** Milliseconds until everything has arrived. */
const transfer = async (from: Socket, to: Socket): Promise<number> => {
  const piece = frames(40, 2, 1)
  const total = Math.ceil(totalBytes / piece.length) * piece.length
  let sent = 0
  let arrived = 0
  const began = performance.now()
  const push = (): void => {
    while (sent < total && sent - arrived < windowBytes) {
      from.write(piece)
      sent += piece.length
    }
  }
  await new Promise<void>((resolve) => {
    const take = (chunk: Buffer): void => {
      arrived += chunk.length
      if (arrived < total) {
        push()
        return
      }
      to.off('data', take)
      resolve()
    }
    to.on('data', take)
    push()
  })
  return performance.now() - began
}

import type {Socket} from 'node:net'

import type {Switch, SwitchPort} from './switch.ts'

/** What waits for a slow receiver at most; beyond it frames are dropped, as on a wire. A TCP window of a guest is of this order. */
const queueBytes = 1024 * 1024

/** Memory that a write costs besides its bytes, counted so that many short frames are bounded too. */
const writeOverhead = 512

export interface PortCounters {
  /** Bytes, lengths of frames included. */
  received: number
  sent: number
  dropped: number
}

/**
 * Connects a stream of length-prefixed frames, which is QEMU's `-netdev stream`, to a switch until the stream closes.
 * @returns the counters, which go on counting
 */
export const plugIn = (socket: Socket, fabric: Switch): PortCounters => {
  const counters: PortCounters = {received: 0, sent: 0, dropped: 0}
  let queued = 0
  const port: SwitchPort = {
    send(frames) {
      if (queued > queueBytes || socket.destroyed) {
        counters.dropped += frames.length
        return
      }
      const cost = frames.length + writeOverhead
      queued += cost
      counters.sent += frames.length
      // A short piece would keep the whole read that it is a part of in memory for as long as it waits.
      socket.write(frames.length * 2 < frames.buffer.byteLength ? Buffer.from(frames) : frames, () => {
        queued -= cost
      })
    },
  }
  let rest: Buffer | undefined
  fabric.connect(port)
  socket.on('data', (chunk: Buffer) => {
    counters.received += chunk.length
    const data = rest ? Buffer.concat([rest, chunk]) : chunk
    try {
      const used = fabric.forward(port, data)
      rest = used === data.length ? undefined : Buffer.from(data.subarray(used))
    } catch {
      // The stream is out of step, as after a hub that died within a frame. A new connection begins with a whole one.
      socket.destroy()
    }
  })
  socket.on('error', () => undefined)
  socket.once('close', () => {
    fabric.disconnect(port)
  })
  return counters
}

/** One end of the switch. */
export interface SwitchPort {
  /** Takes whole frames, each behind its length in 4 bytes (big-endian), or drops them; never waits. */
  send(frames: Buffer): void
}

export interface Switch {
  connect(port: SwitchPort): void
  /** Forgets a port and the addresses that were seen behind it. */
  disconnect(port: SwitchPort): void
  /**
   * Forwards the whole frames at the beginning of `data` and returns how many bytes they were.
   * @throws RangeError when a length is none: the sender and we have lost each other
   */
  forward(from: SwitchPort, data: Buffer): number
}

/** What QEMU takes at most: its NET_BUFSIZE, 4 KiB and 64 KiB (include/net/net.h). */
const longestFrame = 68 * 1024
/** Destination, source, type. */
const shortestFrame = 14
const lengthBytes = 4

/** The usual ageing time of a bridge (IEEE 802.1D, table 7-5). */
const ageMs = 300_000

/** Addresses remembered behind one port. A guest that invents more has them flooded, and costs no more memory. */
const addressesPerPort = 1024

/** Where a frame goes: to one port, to all others, or nowhere. */
type Target = SwitchPort | 'flood' | 'drop'

/**
 * A learning Ethernet switch (IEEE 802.1D, without spanning tree: it has no neighbours that are switches). Frames of one read that
 * go the same way are handed on as one piece, as they came.
 */
export const createSwitch = (now: () => number = Date.now): Switch => {
  const ports = new Set<SwitchPort>()
  const counts = new Map<SwitchPort, number>()
  const learned = new Map<number, {port: SwitchPort; at: number}>()
  /** The time of the frames that are forwarded now. */
  let at = 0

  const forget = (address: number): void => {
    const entry = learned.get(address)
    if (!entry) return
    learned.delete(address)
    counts.set(entry.port, (counts.get(entry.port) ?? 1) - 1)
  }

  const learn = (address: number, port: SwitchPort): void => {
    const entry = learned.get(address)
    if (entry?.port === port) {
      entry.at = at
      return
    }
    forget(address)
    const count = counts.get(port) ?? 0
    if (count >= addressesPerPort && !freeAged()) return
    learned.set(address, {port, at})
    counts.set(port, (counts.get(port) ?? 0) + 1)
  }

  /** Forgets what was not seen for long; at most once in a while, since a flood of addresses would have it done for each frame. */
  let swept = -Infinity
  const freeAged = (): boolean => {
    if (at - swept < ageMs) return false
    swept = at
    for (const [address, entry] of learned) if (at - entry.at > ageMs) forget(address)
    return true
  }

  const targetOf = (data: Buffer, frame: number, from: SwitchPort): Target => {
    const source = data.readUIntBE(frame + 6, 6)
    // A group address as source is no address of anybody.
    if (((data[frame + 6] ?? 0) & 1) === 0) learn(source, from)
    if (((data[frame] ?? 0) & 1) === 1) return 'flood'
    const entry = learned.get(data.readUIntBE(frame, 6))
    if (!entry || at - entry.at > ageMs) return 'flood'
    return entry.port === from ? 'drop' : entry.port
  }

  const send = (target: Target, from: SwitchPort, frames: Buffer): void => {
    if (target === 'drop') return
    if (target !== 'flood') target.send(frames)
    else for (const port of ports) if (port !== from) port.send(frames)
  }

  return {
    connect: (port) => void ports.add(port),
    disconnect(port) {
      ports.delete(port)
      for (const [address, entry] of learned) if (entry.port === port) learned.delete(address)
      counts.delete(port)
    },
    forward(from, data) {
      at = now()
      let offset = 0
      let begin = 0
      let target: Target = 'drop'
      while (data.length - offset >= lengthBytes) {
        const length = data.readUInt32BE(offset)
        if (length === 0 || length > longestFrame) throw new RangeError(`a frame of ${length} bytes`)
        const end = offset + lengthBytes + length
        if (end > data.length) break
        const next = length < shortestFrame ? 'drop' : targetOf(data, offset + lengthBytes, from)
        if (next !== target) {
          if (offset > begin) send(target, from, data.subarray(begin, offset))
          begin = offset
          target = next
        }
        offset = end
      }
      if (offset > begin) send(target, from, data.subarray(begin, offset))
      return offset
    },
  }
}

import {createHash, randomBytes} from 'node:crypto'

import {tryPort} from '../../host/sockets.ts'
import {VmctlError} from '../../model/errors.ts'

const firstPort = 10_022
const portCount = 101

/** The vmctl book's range 10022–10122, beginning at a port that depends on the VM's name only. */
export const preferredPorts = (name: string): number[] => {
  const start = createHash('sha256').update(name).digest().readUInt32BE(0) % portCount
  return Array.from({length: portCount}, (_, index) => firstPort + ((start + index) % portCount))
}

/**
 * Chooses the loopback port for a VM's SSH: its last one, else the book's range, else any.
 * The caller holds the lock that keeps others from choosing at the same time.
 * @param isFree whether a port can be bound now; before the VM starts nothing needs to be bound, so all are
 */
export const chooseSshPort = async (
  name: string,
  last: number | undefined,
  {taken, isFree}: {taken: ReadonlySet<number>; isFree: (port: number) => Promise<boolean>},
): Promise<number> => {
  const candidates = [...(last === undefined ? [] : [last]), ...preferredPorts(name)]
  for (const port of candidates) {
    if (!taken.has(port) && (await isFree(port))) return port
  }
  for (let attempt = 0; attempt < 50; attempt++) {
    const port = await tryPort(0)
    if (port !== undefined && !taken.has(port)) return port
  }
  throw new VmctlError('vmctl::network::no_port', 'No free local TCP port was found for SSH.')
}

/** A random MAC address with QEMU's prefix 52:54:00, which is unicast and locally administered, unlike any in `taken`. */
export const chooseMacAddress = (taken: ReadonlySet<string>): string => {
  for (;;) {
    const tail = [...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, '0'))
    const address = ['52', '54', '00', ...tail].join(':')
    if (!taken.has(address)) return address
  }
}

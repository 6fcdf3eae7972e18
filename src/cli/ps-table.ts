import type {PsRow} from '../engine/show/ps.ts'
import type {PortForward} from '../model/port.ts'
import {inBrackets} from '../model/port.ts'
import {formatSize} from '../model/quantity.ts'

export const psHeader = ['NAME', 'STATUS', 'HEALTH', 'IP', 'CPU', 'MEMORY', 'DISK', 'PORTS'] as const

/** The cells of `vmctl ps`, in the order of `psHeader`. */
export const describeRows = (rows: readonly PsRow[]): readonly (readonly string[])[] =>
  rows.map((row) => [
    row.name,
    describeState(row),
    describeHealth(row),
    row.ips.join(', ') || '-',
    String(row.vcpus ?? '-'),
    row.memoryMiB === undefined ? '-' : formatSize(row.memoryMiB * 2 ** 20),
    row.diskBytes === undefined ? '-' : formatSize(row.diskBytes),
    row.ports.map(describePort).join(', ') || '-',
  ])

const describeState = ({state, readiness, isStray}: PsRow): string =>
  state === 'destroyed' ? 'not created' : `${readiness ?? state}${isStray ? ' (not in the VMFile)' : ''}`

/** Between the first failure and the verdict the status alone would be only half of the truth. */
const describeHealth = ({health, failures = 0, retries}: PsRow): string => {
  if (health === undefined) return '-'
  return health !== 'unhealthy' && failures > 0 ? `${health} (${failures} of ${retries} failed)` : health
}

export const describePort = ({bind, host, guest, protocol}: PortForward): string =>
  `${inBrackets(bind)}:${host ?? '?'}->${guest}/${protocol}`

import type {PsRow} from '../engine/show/ps.ts'
import type {PortForward} from '../model/port.ts'
import {inBrackets} from '../model/port.ts'
import {formatSize} from '../model/quantity.ts'
import {stateStyle} from './state-style.ts'
import type {Column} from './table.ts'
import {describeMemory, describeState} from './vm-words.ts'

/** The columns of `vmctl ps`, and which of them a narrow terminal does without. */
export const psColumns: readonly Column[] = [
  {title: 'NAME'},
  {title: 'STATUS', long: 'wrap', style: stateStyle},
  {title: 'HEALTH', long: 'wrap', spare: 6, style: stateStyle},
  {title: 'IP', long: 'wrap', spare: 3},
  {title: 'CPU', align: 'right', spare: 1},
  {title: 'MEMORY', align: 'right', spare: 4},
  {title: 'DISK', align: 'right', spare: 2},
  {title: 'PORTS', long: 'wrap', spare: 5},
]

/** The cells of `vmctl ps`, in the order of `psColumns`. */
export const describeRows = (rows: readonly PsRow[]): readonly (readonly string[])[] =>
  rows.map((row) => [
    row.name,
    `${describeState(row)}${row.isOrphan ? ' (not in the VMFile)' : ''}`,
    describeHealth(row),
    row.ips.join(', ') || '-',
    String(row.vcpus ?? '-'),
    describeMemory(row.memoryMiB),
    row.diskBytes === undefined ? '-' : formatSize(row.diskBytes),
    row.ports.map(describePort).join(', ') || '-',
  ])

/** Between the first failure and the verdict the status alone would be only half of the truth. */
const describeHealth = ({health, failures = 0, retries}: PsRow): string => {
  if (health === undefined) return '-'
  return health !== 'unhealthy' && failures > 0 ? `${health} (${failures} of ${retries} failed)` : health
}

export const describePort = ({bind, host, guest, protocol}: PortForward): string =>
  `${inBrackets(bind)}:${host ?? '?'}->${guest}/${protocol}`

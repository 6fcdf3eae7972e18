import {quote} from '../../model/quote.ts'

/** An address of the stack and its names, the canonical one first (hosts(5)). */
export interface HostEntry {
  readonly ip: string
  readonly names: readonly string[]
}

/** /etc/hosts: the names of all VMs that share a network with this one. */
export const hostsSection = (entries: readonly HostEntry[]): string => {
  const lines = entries.map(({ip, names}) => [ip, ...names].join(' '))
  return `managed /etc/hosts ${quote(lines.join('\n'))}`
}

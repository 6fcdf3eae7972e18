import type {AvailableImage} from '../engine/manage/catalogue.ts'
import {table} from './table.ts'

/** The images that have a name, for people. */
export const catalogueTable = (images: readonly AvailableImage[]): string => {
  if (images.length === 0) return 'No image has such a name.'
  const rows = images.map(({name, aliases, architectures, trust, ends, hasEnded}) => [
    name,
    aliases.map((alias) => alias.split(':')[1] ?? 'latest').join(', ') || '-',
    trust,
    ends === undefined ? '-' : `${ends}${hasEnded ? ' (ended)' : ''}`,
    architectures.join(', '),
  ])
  return table(['NAME', 'TAGS', 'TRUST', 'MAINTAINED UNTIL', 'ARCH'], rows)
}

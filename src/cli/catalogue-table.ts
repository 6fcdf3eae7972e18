import type {AvailableImage} from '../engine/manage/catalogue.ts'
import {table} from './table.ts'

/** The images that have a name, for people. */
export const catalogueTable = (images: readonly AvailableImage[]): string => {
  if (images.length === 0) return 'No image has such a name.'
  const rows = images.map(({name, aliases, architectures, trust, ends, hasEnded}) => [
    name,
    aliases.join(', ') || '-',
    architectures.join(', '),
    trust,
    ends === undefined ? '-' : `${ends}${hasEnded ? ' (ended)' : ''}`,
  ])
  return table(['NAME', 'ALSO', 'ARCH', 'TRUST', 'MAINTAINED UNTIL'], rows)
}

import type {AvailableImage} from '../engine/manage/catalogue.ts'
import {type Column, listing} from './table.ts'

const columns: readonly Column[] = [
  {title: 'NAME'},
  {title: 'TAGS', long: 'wrap', spare: 2},
  {title: 'TRUST', spare: 3},
  {title: 'MAINTAINED UNTIL', spare: 4},
  {title: 'ARCH', long: 'wrap', spare: 1},
]

/** The images that have a name, for people. */
export const catalogueTable = (images: readonly AvailableImage[]): string => {
  const rows = images.map(({name, aliases, architectures, trust, ends, hasEnded}) => [
    name,
    aliases.map((alias) => alias.split(':')[1] ?? 'latest').join(', ') || '-',
    trust,
    ends === undefined ? '-' : `${ends}${hasEnded ? ' (ended)' : ''}`,
    architectures.join(', '),
  ])
  return listing(columns, rows, {empty: 'No image has such a name. `vmctl image search` shows all names.'})
}

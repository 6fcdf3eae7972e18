import {hintForForeign} from './foreign.ts'
import type {Fields, Shape} from './shapes.ts'
import {listOf, meant, nearest} from '../kdl/wording.ts'

/** Where a word stands, for messages about words that have no business there. */
export interface Place {
  /** `vm`, `provision "file"`; empty at the top level. */
  readonly label: string
  readonly fields: Fields
  /** The other variants of a choice. */
  readonly variants?: Readonly<Record<string, Fields>>
}

/** Nobody reads a longer list in a message. */
const mostListed = 12

/** What to do about a word that its block does not know. */
export const hintForUnknown = (name: string, place: Place, grammar: Fields): string => {
  const bare = name.replace(/[:,]$/, '')
  if (bare !== name && Object.hasOwn(place.fields, bare)) return `write ${bare} and its value, without ${name.at(-1)}`
  const known = Object.keys(place.fields)
  const synonymOf = known.find((candidate) => place.fields[candidate]?.synonyms?.includes(name))
  if (synonymOf !== undefined) return meant(synonymOf)
  const label = place.label.split(' ')[0] ?? ''
  const foreign = hintForForeign(bare, label)
  if (foreign !== undefined) return foreign
  for (const [variant, fields] of Object.entries(place.variants ?? {})) {
    if (Object.hasOwn(fields, name)) return `it belongs in ${label} "${variant}"`
  }
  const homes = homesOf(name, grammar)
  if (homes.length > 0) return `it belongs in ${homes.join(' or ')}`
  if (known.length > mostListed) return nearest(name, known) ?? 'the VMFile reference lists what there can be: docs/reference/vmfile.md'
  return nearest(name, known) ?? (known.length > 0 ? `there can be ${listOf(known)} here` : `${place.label} has no settings`)
}

/** The blocks that know a word. The defaults of a project know what a VM knows, which is where it belongs. */
const homesOf = (name: string, fields: Fields): readonly string[] => {
  const homes = Object.entries(fields).flatMap(([home, shape]) => [
    ...(Object.hasOwn(fieldsOf(shape), name) && home !== 'defaults' ? [home] : []),
    ...Object.entries(variantsOf(shape)).flatMap(([variant, inner]) => (Object.hasOwn(inner, name) ? [`${home} "${variant}"`] : [])),
    ...homesOf(name, fieldsOf(shape)),
  ])
  return [...new Set(homes)]
}

const fieldsOf = (shape: Shape): Fields => (shape.shape === 'block' ? shape.fields : {})

const variantsOf = (shape: Shape): Readonly<Record<string, Fields>> => (shape.shape === 'choice' ? shape.variants : {})

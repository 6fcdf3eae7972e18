import type {Report} from '../kdl/report.ts'
import type {KdlNode, Value} from '../kdl/tree.ts'
import type {Fields} from './shapes.ts'
import {plain, quoted} from '../kdl/wording.ts'

/** A field as it was written: a child node, or a property of the node that holds it. */
export interface Entry extends KdlNode {
  readonly isProperty: boolean
}

/** The fields of a node in the order of the text. Properties become nodes with one value, so that both are read alike. */
export const entriesOf = (node: KdlNode, report: Report): readonly Entry[] => {
  const entries: Entry[] = []
  const keys = new Set<string>()
  for (const {key, span, value} of node.properties) {
    if (keys.has(key)) report.error(span, `the property ${quoted(key)} is given twice`, 'keep one of the two')
    keys.add(key)
    if (value) entries.push({name: key, span, args: [value], properties: [], isProperty: true})
  }
  for (const child of node.children ?? []) entries.push({...child, isProperty: false})
  return entries
}

/** The entries by name, in the order in which the names first occur. */
export const byName = (entries: readonly Entry[]): ReadonlyMap<string, readonly Entry[]> => {
  const groups = new Map<string, Entry[]>()
  for (const entry of entries) {
    const group = groups.get(entry.name)
    if (group) group.push(entry)
    else groups.set(entry.name, [entry])
  }
  return groups
}

/** Reports all but the first of the entries of a field that can be given once, and returns the first. */
export const takeSingle = (entries: readonly Entry[], report: Report): Entry | undefined => {
  const [first, ...others] = entries
  if (!first) return undefined
  for (const entry of others) {
    if (entry.isProperty && first.isProperty) {
      report.error(entry.span, `"${entry.name}" is given twice`, 'keep one of the two')
    } else if (entry.isProperty === first.isProperty) {
      report.error(entry.span, `duplicate node "${entry.name}"`, `it was given in line ${report.lineOf(first.span.start)} already`)
    } else {
      report.error(entry.span, `"${entry.name}" is given as a property and as a node`, 'keep one of the two')
    }
  }
  return first
}

/** Reports type annotations, which KDL allows anywhere. */
export const refuseAnnotations = ({annotation, args, properties}: KdlNode, report: Report): void => {
  const found = [annotation, ...args.map((arg) => arg.annotation), ...properties.map(({value}) => value?.annotation)]
  for (const span of found)
    if (span) report.error(span, 'type annotations have no meaning in a VMFile', 'remove the parentheses and what is between them')
}

/** Reports the values of a node beyond the number it takes. */
export const refuseMoreArguments = (node: KdlNode, count: number, siblings: Fields, report: Report): void => {
  const extra = node.args[count]
  if (!extra) return
  report.error(
    extra,
    `${plain(node.name)} takes ${count === 0 ? 'no value' : count === 1 ? 'one value' : `${count} values at most`}`,
    isSibling(extra, siblings) ? separately(String(extra.value)) : undefined,
  )
}

const isSibling = ({value}: Value, siblings: Fields): boolean => typeof value === 'string' && Object.hasOwn(siblings, value)

/** Advice for `vm "a" { image "x" vcpus 2 }`, where vcpus is an argument of image to KDL. */
export const separately = (name: string): string => `start a new line before ${name}, or write ; before it`

import type {Ignore} from './ignore.ts'
import {describeEntry, type HashedEntry, hashTree, listTree} from './tree.ts'

/** How many parts of a tree are told apart: the journal keeps a line for each, and is written at every change of a step. */
const mostParts = 1000

/**
 * What a tree is, part by part, by the absolute path of each part: names, types, modes, targets and contents. A part is an
 * entry of the tree, or, when there are more than 1000, everything below the directories of the deepest level that has no more.
 */
export const treeFacts = async (directory: string, ignore?: Ignore): Promise<Readonly<Record<string, unknown>>> => {
  const entries = await hashTree(directory, await listTree(directory, ignore))
  const parts = partsOf(entries)
  if (!parts) return {[directory]: entries.map(describeEntry)}
  const told = [...parts].map(([name, part]) => [`${directory}/${name}`, part.map(describeEntry)] as const)
  return Object.fromEntries([[directory, 'directory'], ...told])
}

const partsOf = (entries: readonly HashedEntry[]): ReadonlyMap<string, readonly HashedEntry[]> | undefined => {
  const deepest = entries.reduce((depth, {name}) => Math.max(depth, name.split('/').length), 0)
  for (let depth = deepest; depth >= 0; depth--) {
    const parts = Map.groupBy(entries, ({name}) => name.split('/').slice(0, depth).join('/'))
    if (parts.size <= mostParts) return depth === 0 && parts.size > 0 ? undefined : parts
  }
  return undefined
}

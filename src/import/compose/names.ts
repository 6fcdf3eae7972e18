import {distinctNames, importedLabel} from '../draft.ts'
import type {Warnings} from '../warnings.ts'

/** What a VMFile calls the things of a file; undefined for one that the file does not have. */
export type Names = ReadonlyMap<string, string>

/** Names that become part of host names, each once. */
export const namesOf = (given: readonly string[], what: string, warnings: Warnings): Names => {
  const distinct = distinctNames()
  return new Map(
    given.map((name) => {
      const label = importedLabel(name) ?? what
      const clean = distinct(['user', 'tap', 'none', 'vnic'].includes(label) && what === 'net' ? `${label}-net` : label)
      if (clean !== name) warnings.about(name, `it is named ${clean}: a name has letters, digits and inner dashes`)
      return [name, clean]
    }),
  )
}

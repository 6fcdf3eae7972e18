import type {KdlNode} from './kdl.ts'

/** What another program's file comes to in a VMFile. */
export interface Draft {
  readonly nodes: readonly KdlNode[]
  /** What could not be carried over, by name. */
  readonly warnings: readonly string[]
}

/** A file that is not what it should be. */
export class ImportError extends Error {}

/**
 * A name that a VMFile accepts: what it does not is replaced by dashes.
 * @returns undefined when nothing is left
 */
export const importedName = (name: string): string | undefined => {
  const clean = name
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .replaceAll(/\.{2,}/g, '.')
    .replaceAll(/^[^A-Za-z0-9]+|-+$/g, '')
    .slice(0, 63)
  return clean === '' ? undefined : clean
}

import type {KdlNode} from './kdl.ts'

/** What another program's file comes to in a VMFile. Its host paths start where the file is. */
export interface Draft {
  readonly nodes: readonly KdlNode[]
  /** What could not be carried over, each with its places. */
  readonly warnings: readonly string[]
  /** Commands of that program whose words mean something else here. */
  readonly notes?: readonly string[]
}

/** A file that is not what it should be. */
export class ImportError extends Error {}

/**
 * A name that a VMFile accepts for a VM or a volume: what it does not accept is replaced by dashes.
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

/**
 * The same for what becomes part of a host name: projects, networks, and the VMs on them (RFC 1123, one label).
 * @param length most characters, when several names are joined to one
 */
export const importedLabel = (name: string, length = 63): string | undefined => {
  const clean = name
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, length)
    .replace(/-+$/, '')
  return clean === '' ? undefined : clean
}

/** Most characters of a project's name, which leaves room for those of its VMs. */
export const mostOfProject = 30

/** Gives each name once: a second `web` is `web-2`. */
export const distinctNames = (): ((wanted: string) => string) => {
  const taken = new Set<string>()
  return (wanted) => {
    let name = wanted
    for (let number = 2; taken.has(name.toLowerCase()); number++) name = `${wanted.slice(0, 58)}-${number}`
    taken.add(name.toLowerCase())
    return name
  }
}

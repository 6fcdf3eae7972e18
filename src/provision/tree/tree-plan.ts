import {dirname} from 'node:path/posix'

import {VmctlError} from '../../model/errors.ts'
import type {Ignore} from './ignore.ts'
import type {Found, Survey} from './tree-survey.ts'
import type {HashedEntry} from './tree.ts'

export interface TreeOptions {
  /** `user` or `user:group`; who has what is in the guest already is of no interest when absent. */
  readonly owner?: string
  /** Whether the guest loses what the tree does not have. */
  readonly mirror?: boolean
  readonly ignore?: Ignore
}

/** What has to be done in the guest; every list is empty when the tree is there as it should be. */
export interface TreeChanges {
  /** Entries that travel, in the order of the tree. */
  readonly send: readonly HashedEntry[]
  /** The uppermost of what travels: each is moved into place as a whole, by one rename. */
  readonly move: readonly string[]
  /** What gives way before that: of another type, and only with `mirror`. */
  readonly clear: readonly string[]
  /** What is there with another mode. */
  readonly modes: readonly HashedEntry[]
  /** What is there with another owner. */
  readonly owners: readonly string[]
  /** The uppermost of what the tree does not have; only with `mirror`. */
  readonly remove: readonly string[]
}

/** Compares a tree with what the guest has; pure. */
export const planTree = (entries: readonly HashedEntry[], survey: Survey, options: TreeOptions): TreeChanges => {
  const send: HashedEntry[] = []
  const move: string[] = []
  const clear: string[] = []
  const present: [HashedEntry, Found][] = []
  const arriving = new Set<string>()
  for (const entry of entries) {
    // What lies below something that arrives, arrives with it: what the guest has there is behind a link, or gives way.
    const carried = arriving.has(dirname(entry.name))
    const found = carried ? undefined : survey.found.get(entry.name)
    if (found && isSame(entry, found)) {
      present.push([entry, found])
      continue
    }
    if (found && mustGiveWay(entry, found, options)) clear.push(entry.name)
    if (entry.type === 'directory') arriving.add(entry.name)
    if (!carried) move.push(entry.name)
    send.push(entry)
  }
  const changesOwner = (found: Found): boolean => options.owner !== undefined && !isOwner(options.owner, found)
  return {
    send,
    move,
    clear,
    owners: present.filter(([, found]) => changesOwner(found)).map(([{name}]) => name),
    // A new owner takes the set-ID bits away.
    modes: present
      .filter(([{type, mode}, found]) => type !== 'symlink' && (found.mode !== mode || (mode > 0o777 && changesOwner(found))))
      .map(([entry]) => entry),
    remove: superfluous(entries, survey, {...options, clear}),
  }
}

export const isNothing = ({send, modes, owners, remove}: TreeChanges): boolean =>
  send.length + modes.length + owners.length + remove.length === 0

const isSame = (entry: HashedEntry, found: Found): boolean => {
  if (entry.type !== found.type) return false
  if (entry.type === 'symlink') return entry.target === found.target
  return entry.type === 'directory' || entry.sha256 === found.sha256
}

/** `user`, `user:group`, `:group` or numbers, as chown(1) takes them. */
const isOwner = (owner: string, {owner: has}: Found): boolean => {
  const [user = '', group] = owner.split(':')
  return (
    has !== undefined &&
    (user === '' || [has.user, has.uid].includes(user)) &&
    (group === undefined || [has.group, has.gid].includes(group))
  )
}

/** A rename replaces files and links; only what is, or becomes, a directory is in the way. */
const mustGiveWay = (entry: HashedEntry, found: Found, {mirror}: TreeOptions): boolean => {
  if (entry.type !== 'directory' && found.type !== 'directory') return false
  if (mirror) return true
  const words = {file: 'a file', directory: 'a directory', symlink: 'a symbolic link', other: 'a special file'}
  throw new VmctlError(
    'vmctl::provision::failed',
    `${JSON.stringify(entry.name)} is ${words[found.type]} in the guest, and ${words[entry.type]} here.`,
    {help: 'Move it away in the guest. A step with `mirror #true` replaces it.'},
  )
}

const superfluous = (
  entries: readonly HashedEntry[],
  {all}: Survey,
  {mirror, ignore, clear}: TreeOptions & Pick<TreeChanges, 'clear'>,
): string[] => {
  if (!mirror) return []
  const wanted = new Set(entries.map(({name}) => name))
  const cleared = new Set(clear)
  // What is ignored is nobody's business, also in the guest, and so is the directory that holds it.
  const kept = new Set<string>()
  for (const name of all) {
    if (!ignore || !isIgnored(name, ignore)) continue
    for (let above = name; above !== '.'; above = dirname(above)) kept.add(above)
  }
  const extra = new Set(all.filter((name) => !wanted.has(name) && !kept.has(name)))
  return [...extra].filter((name) => !extra.has(dirname(name)) && !cleared.has(dirname(name))).toSorted()
}

/** Whether an entry of the guest is ignored, or below something that is. The guest's types are not known here: either will do. */
const isIgnored = (name: string, ignore: Ignore): boolean => {
  for (let part = name; part !== '.'; part = dirname(part)) if (ignore(part, true) || ignore(part, false)) return true
  return false
}

import {readdir, stat} from 'node:fs/promises'
import {basename, join} from 'node:path'

import {remove} from '../host/durable.ts'
import {acquireLock} from '../host/lock.ts'
import {isFailure} from '../model/errors.ts'
import {lockIndex} from './commit.ts'
import {imageFiles, type ImageStore} from './image-store.ts'
import {type Listed, readImages, removeListed} from './manage.ts'
import {type ImageUse, isUseOf} from './uses.ts'

/** Which images may go of those that nothing uses: all of them without a rule, and each rule lets more stay. */
export interface PruneRules {
  /** Those that were used within this many milliseconds stay. */
  readonly olderThanMs?: number | undefined
  /** The newest of each name or URL stay, so many. */
  readonly keepBuilds?: number | undefined
  /** As long as the cache takes more than this, the one that was used least recently goes. */
  readonly maxBytes?: number | undefined
}

/** Something that can leave the cache. */
export interface Prunable {
  readonly kind: 'image' | 'partial'
  /** The names of an image, or what a download that was cut is called. */
  readonly names: readonly string[]
  readonly path: string
  /** What its removal frees; nothing when the file has another name elsewhere. */
  readonly freedBytes: number
  /** RFC 3339. */
  readonly lastUsedAt: string
}

export interface PrunePlan {
  readonly remove: readonly Prunable[]
  readonly freedBytes: number
  /** What the cache takes afterwards. */
  readonly keptBytes: number
}

export interface PruneOptions {
  readonly rules: PruneRules
  /** Asked under the lock under which uses are claimed, when something is removed. */
  readonly uses: () => Promise<readonly ImageUse[]>
}

const dayMs = 86_400_000

/** What a prune would remove now. Changes nothing. */
export const planPrune = async (store: ImageStore, options: PruneOptions): Promise<PrunePlan> => {
  const {lines: _lines, ...plan} = await look(store, options)
  return plan
}

/**
 * Removes what nothing uses, and nothing that anything has come to use meanwhile.
 * @param agreed the paths of an earlier plan, when no others may go
 */
export const pruneImages = async (
  store: ImageStore,
  options: PruneOptions & {readonly agreed?: ReadonlySet<string>},
): Promise<PrunePlan> => {
  await using _lock = await lockIndex(store, 'image prune')
  const plan = await look(store, options)
  const removed: Prunable[] = []
  for (const one of plan.remove) {
    if (options.agreed?.has(one.path) === false) continue
    if (one.kind === 'image') {
      const lines = plan.lines.filter(({image}) => image.path === one.path)
      await removeListed(store, lines, [one.path])
      removed.push(one)
    } else if (await unlessFetched(store, basename(one.path), () => removePartials(store, basename(one.path)))) removed.push(one)
  }
  const freedBytes = sum(removed)
  return {remove: removed, freedBytes, keptBytes: plan.keptBytes + plan.freedBytes - freedBytes}
}

interface Looked extends PrunePlan {
  readonly lines: readonly Listed[]
}

/** An image, or what there is of one, as it takes room. */
interface Candidate extends Prunable {
  readonly allocatedBytes: number
  readonly stays: boolean
}

const look = async (store: ImageStore, {rules, uses}: PruneOptions): Promise<Looked> => {
  const lines = await readImages(store)
  const now = Date.now()
  const all = [...(await imagesOf(store, lines, {rules, uses: await uses()})), ...(await partialsOf(store, rules))]
  const ripe = all
    .filter(({stays, kind, lastUsedAt}) => !stays && (kind === 'partial' || now - Date.parse(lastUsedAt) >= (rules.olderThanMs ?? 0)))
    .toSorted((left, right) => left.lastUsedAt.localeCompare(right.lastUsedAt))
  let keptBytes = all.reduce((total, {allocatedBytes}) => total + allocatedBytes, 0)
  const chosen: Prunable[] = []
  for (const {allocatedBytes, stays: _stays, ...one} of ripe) {
    // A download that was cut long ago is of no use to anybody, however much room there is.
    if (one.kind === 'image' && rules.maxBytes !== undefined && keptBytes <= rules.maxBytes) continue
    keptBytes -= allocatedBytes
    chosen.push(one)
  }
  return {remove: chosen, freedBytes: sum(chosen), keptBytes, lines}
}

const sum = (some: readonly Prunable[]): number => some.reduce((total, {freedBytes}) => total + freedBytes, 0)

/** Each disk once, whatever names it has. */
const imagesOf = async (
  store: ImageStore,
  lines: readonly Listed[],
  {rules, uses}: {readonly rules: PruneRules; readonly uses: readonly ImageUse[]},
): Promise<Candidate[]> => {
  const kept = newestBuilds(lines, rules.keepBuilds ?? 0)
  const candidates: Candidate[] = []
  for (const [path, names] of Map.groupBy(lines, ({image}) => image.path)) {
    const isUsed = names.some((line) => kept.has(line) || uses.some((use) => isUseOf(use, line.image)))
    const keys = names.flatMap(({entry}) => (entry ? [entry.key] : []))
    candidates.push({
      kind: 'image',
      names: [...new Set(names.map(({image, entry}) => (entry?.url === undefined ? image.name : `${entry.source} (${image.name})`)))],
      path,
      ...(await roomOf([path])),
      lastUsedAt: latest(names.map(({image}) => image.lastUsedAt ?? '')),
      stays: isUsed || (await isAnyFetched(store, keys)),
    })
  }
  return candidates
}

const latest = (times: readonly string[]): string =>
  times.reduce((one, other) => (other > one ? other : one), '') || new Date(0).toISOString()

/** The newest builds of each place or name, that can be used. */
const newestBuilds = (lines: readonly Listed[], count: number): ReadonlySet<Listed> => {
  const usable = lines.filter(({entry, image}) => entry && image.problem === undefined)
  const bySource = Map.groupBy(usable, ({entry}) => entry?.key)
  return new Set(
    [...bySource.values()].flatMap((builds) =>
      builds.toSorted((left, right) => (right.image.fetchedAt ?? '').localeCompare(left.image.fetchedAt ?? '')).slice(0, count),
    ),
  )
}

/** Downloads that were cut a day ago or earlier, and that nobody goes on with. After 14 days they go with the next download in any case. */
const partialsOf = async (store: ImageStore, {olderThanMs = dayMs}: PruneRules): Promise<Candidate[]> => {
  const directory = imageFiles.partials(store)
  const candidates: Candidate[] = []
  for (const [key, names] of Map.groupBy(await readdir(directory).catch(() => []), keyOf)) {
    if (key === '') continue
    const room = await roomOf(names.map((name) => join(directory, name)))
    const isYoung = Date.now() - Date.parse(room.lastUsedAt) < Math.min(olderThanMs, 14 * dayMs)
    const stays = isYoung || (await isAnyFetched(store, [key]))
    candidates.push({kind: 'partial', names: [`a download that was cut (${key.slice(0, 12)})`], path: join(directory, key), ...room, stays})
  }
  return candidates
}

const keyOf = (name: string): string => /^\.?([0-9a-f]{64})/.exec(name)?.[1] ?? ''

const roomOf = async (paths: readonly string[]): Promise<Pick<Candidate, 'allocatedBytes' | 'freedBytes' | 'lastUsedAt'>> => {
  const found = (await Promise.all(paths.map((path) => stat(path).catch(() => undefined)))).filter((one) => one !== undefined)
  const allocated = (some: typeof found): number => some.reduce((total, {blocks}) => total + blocks * 512, 0)
  return {
    allocatedBytes: allocated(found),
    freedBytes: allocated(found.filter(({nlink}) => nlink === 1)),
    lastUsedAt: new Date(Math.max(0, ...found.map(({mtimeMs}) => mtimeMs))).toISOString(),
  }
}

const removePartials = async (store: ImageStore, key: string): Promise<void> => {
  const directory = imageFiles.partials(store)
  for (const name of await readdir(directory)) if (keyOf(name) === key) await remove(join(directory, name))
}

const isAnyFetched = async (store: ImageStore, keys: readonly string[]): Promise<boolean> => {
  for (const key of new Set(keys)) if (!(await unlessFetched(store, key, async () => undefined))) return true
  return false
}

/** Does something unless a process is fetching that image. */
const unlessFetched = async (store: ImageStore, key: string, action: () => Promise<void>): Promise<boolean> => {
  try {
    await using _lock = await acquireLock(imageFiles.fetchLock(store, key), {purpose: 'image prune', timeoutMs: 0})
    await action()
    return true
  } catch (error) {
    if (!isFailure(error, 'vmctl::vm::locked')) throw error
    return false
  }
}

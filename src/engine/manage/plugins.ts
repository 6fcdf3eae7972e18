import {mkdtemp, readdir} from 'node:fs/promises'
import {join, resolve, sep} from 'node:path'

import {remove} from '../../host/durable.ts'
import {makePrivateDirectory} from '../../host/files.ts'
import {acquireLock} from '../../host/lock.ts'
import {resolvePath} from '../../host/paths.ts'
import {VmctlError} from '../../model/errors.ts'
import {suggest} from '../../model/names.ts'
import {openStore} from '../../store/store.ts'
import {installByNpm} from './plugin-npm.ts'
import {type PluginEdit, type PluginEntry, readPlugin, readPluginRecord, writePluginRecord} from './plugin-record.ts'
import {readSource, withoutPassword} from './plugin-source.ts'

/** Where the plugins of a user are, and who asks. No engine: one cannot be opened while a plugin is broken. */
export interface PluginHome {
  /** Data directory of oclif, whose loader reads the list of plugins there. */
  readonly directory: string
  /** Directory of the vmctl that runs. */
  readonly vmctl: string
  /** What relative paths begin at. */
  readonly cwd: string
  readonly signal: AbortSignal
  /** Gets what is worth telling meanwhile. */
  readonly tell: (message: string) => void
}

/** One plugin; the `--json` shape of an element of `vmctl plugins`. */
export interface PluginSummary {
  readonly name: string
  /** `user`: installed; `link`: used from where it is; `core`: part of vmctl. */
  readonly type: 'user' | 'link' | 'core'
  /** Absent when the package is not there, or is no plugin; vmctl then goes without it. */
  readonly version?: string
  readonly root: string
  /** What it was installed from: a version, range or tag of the registry, a path or a URL. */
  readonly from?: string
}

/** The plugins that the user has linked or installed, sorted by name. */
export const listPlugins = async ({directory}: Pick<PluginHome, 'directory'>): Promise<PluginSummary[]> => {
  const {entries} = await readPluginRecord(directory)
  const summaries = await Promise.all(entries.map((entry) => summaryOf(directory, entry)))
  return summaries.toSorted((one, other) => one.name.localeCompare(other.name))
}

const summaryOf = async (directory: string, entry: PluginEntry): Promise<PluginSummary> => {
  const root = rootOf(directory, entry)
  const version = await readPlugin(root).then(
    (plugin) => plugin.version,
    () => undefined,
  )
  const from = entry.url === undefined ? entry.tag : withoutPassword(entry.url)
  return {name: entry.name, type: entry.type, ...(version !== undefined && {version}), root, ...(from !== undefined && {from})}
}

const rootOf = (directory: string, {name, root}: PluginEntry): string => root ?? join(sharedModules(directory), name)

/** All plugins that `@oclif/plugin-plugins` has installed are in one tree. */
const sharedModules = (directory: string): string => join(directory, 'node_modules')

/** Plugins that this vmctl installs have a directory each, `npm-` and six characters. */
const placesOf = (directory: string): string => join(directory, 'plugins')
const placePrefix = 'npm-'
const placeRule = /^npm-\w{6}$/

/**
 * Uses the plugin in a directory from where it is.
 * @throws VmctlError `vmctl::plugin::not_found`, `vmctl::plugin::invalid`
 */
export const linkPlugin = async (home: PluginHome, path: string): Promise<PluginSummary> => {
  const root = resolvePath(path, home.cwd)
  const {name} = await readPlugin(root)
  return whileLocked(home, `link ${name}`, () => replace(home, {name, type: 'link', root}))
}

/**
 * Installs a plugin, in the place of one of its name. Until all of it is there, the list of plugins stays what it was.
 * @param text NAME[@VERSION], a path or a URL
 * @throws VmctlError `vmctl::usage::invalid`, `vmctl::plugin::not_found`, and what `installByNpm` throws
 */
export const installPlugin = async (home: PluginHome, text: string): Promise<PluginSummary> => {
  const source = await readSource(text, home.cwd)
  return whileLocked(home, `install ${withoutPassword(text)}`, async () => {
    await makePrivateDirectory(placesOf(home.directory))
    const place = await mkdtemp(join(placesOf(home.directory), placePrefix))
    try {
      home.tell(`Installing ${withoutPassword(source.spec)} by npm`)
      const {root, plugin} = await installByNpm(source, {directory: place, vmctl: home.vmctl, signal: home.signal})
      const from = source.registry ? {tag: source.registry.tag} : {url: source.spec}
      return await replace(home, {name: plugin.name, type: 'user', root, ...from})
    } catch (error) {
      await remove(place)
      throw error
    }
  })
}

/** Installs anew what was installed, as it was asked for: a range and `latest` may have come to mean a newer version. */
export const updatePlugins = async (home: PluginHome): Promise<PluginSummary[]> => {
  const {entries} = await readPluginRecord(home.directory)
  const updated: PluginSummary[] = []
  for (const {name, type, url, tag = 'latest'} of entries)
    if (type === 'user') updated.push(await installPlugin(home, url ?? `${name}@${tag}`))
  return updated
}

/**
 * Forgets a plugin, and removes what was installed; the directory of one that is linked stays as it is.
 * @param asked its name, or the directory that is linked
 * @throws VmctlError `vmctl::plugin::not_found`
 */
export const uninstallPlugin = async (home: PluginHome, asked: string): Promise<PluginSummary> =>
  whileLocked(home, `uninstall ${asked}`, async () => {
    const record = await readPluginRecord(home.directory)
    const found =
      record.entries.find(({name}) => name === asked) ??
      record.entries.find(({type, root}) => type === 'link' && root !== undefined && resolve(root) === resolvePath(asked, home.cwd))
    if (!found) throw notInstalled(asked, record.entries)
    const summary = await summaryOf(home.directory, found)
    await change(home, {without: ({name}) => name === found.name})
    return summary
  })

const notInstalled = (asked: string, entries: readonly PluginEntry[]): VmctlError => {
  const names = entries.map(({name}) => name)
  return new VmctlError('vmctl::plugin::not_found', `There is no plugin ${JSON.stringify(asked)} that was installed or linked.`, {
    help: suggest(asked, names, '`vmctl plugins` shows all of them.'),
  })
}

/** Puts a plugin in the place of those of its name, and of that which was linked from the same directory. */
const replace = async (home: PluginHome, entry: PluginEntry): Promise<PluginSummary> => {
  const without = ({name, type, root}: PluginEntry): boolean =>
    name === entry.name || (type === 'link' && entry.type === 'link' && root === entry.root)
  await change(home, {without, entry})
  return summaryOf(home.directory, entry)
}

/** Changes the list in one step, then removes what is in it no longer. */
const change = async (home: PluginHome, edit: PluginEdit): Promise<void> => {
  const {directory} = home
  const before = await readPluginRecord(directory)
  await writePluginRecord(directory, before, edit)
  await sweep(home)
  const isShared = ({type, root}: PluginEntry): boolean => type === 'user' && root === undefined
  const {entries} = await readPluginRecord(directory)
  if (!before.entries.some(isShared) || entries.some(isShared)) return
  for (const path of [sharedModules(directory), join(directory, 'package-lock.json')]) await remove(path)
}

const whileLocked = async <T>(home: PluginHome, verb: string, action: () => Promise<T>): Promise<T> => {
  const {lockDirectory} = await openStore(home.directory)
  await using _lock = await acquireLock(join(lockDirectory, 'plugins'), {
    purpose: `vmctl plugins ${verb}`,
    timeoutMs: 600_000,
    signal: home.signal,
    onWait: (holder) => home.tell(`Waiting: another vmctl is at work here: ${holder}`),
  })
  await sweep(home)
  return await action()
}

/** Removes what no plugin of the list is in: one that was replaced, and what a vmctl that was killed has left behind. */
const sweep = async ({directory}: PluginHome): Promise<void> => {
  const {entries} = await readPluginRecord(directory)
  const roots = entries.map((entry) => rootOf(directory, entry))
  const places = await readdir(placesOf(directory)).catch(() => [])
  for (const name of places.filter((one) => placeRule.test(one))) {
    const path = join(placesOf(directory), name)
    if (!roots.some((root) => root.startsWith(`${path}${sep}`))) await remove(path)
  }
}

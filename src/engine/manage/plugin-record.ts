import {join} from 'node:path'

import {readIfExists, writeFileAtomic} from '../../host/files.ts'
import {VmctlError} from '../../model/errors.ts'

/** A plugin of the user as oclif reads it, and as `@oclif/plugin-plugins` has written it before. */
export interface PluginEntry {
  readonly name: string
  readonly type: 'user' | 'link'
  /** Directory of the package; absent for one in the `node_modules` that all plugins shared once. */
  readonly root?: string
  /** Version, range or tag that was asked of the registry. */
  readonly tag?: string
  /** Path or URL that it was installed from. */
  readonly url?: string
}

type Json = Readonly<Record<string, unknown>>

/** The `package.json` in oclif's data directory, from which its loader takes the plugins of the user. */
export interface PluginRecord {
  readonly document: Json
  readonly entries: readonly PluginEntry[]
}

export const recordPath = (directory: string): string => join(directory, 'package.json')

/** @throws VmctlError `vmctl::plugin::record_damaged` */
export const readPluginRecord = async (directory: string): Promise<PluginRecord> => {
  const path = recordPath(directory)
  const text = await readIfExists(path)
  if (text === undefined) return {document: {}, entries: []}
  const document = parseJson(text)
  const plugins = isJson(document) ? pluginsOf(document) : undefined
  if (!isJson(document) || !Array.isArray(plugins))
    throw new VmctlError('vmctl::plugin::record_damaged', `The list of plugins cannot be read: ${path}.`)
  return {document, entries: plugins.filter(isEntry)}
}

const pluginsOf = ({oclif = {}}: Json): unknown => (isJson(oclif) ? (oclif.plugins ?? []) : undefined)

export interface PluginEdit {
  readonly without: (entry: PluginEntry) => boolean
  readonly entry?: PluginEntry
}

/** Puts an entry in the place of others, and changes nothing else; a reader sees all of that or nothing. */
export const writePluginRecord = async (directory: string, {document}: PluginRecord, {without, entry}: PluginEdit): Promise<void> => {
  const oclif = isJson(document.oclif) ? document.oclif : {schema: 1}
  const before: readonly unknown[] = Array.isArray(oclif.plugins) ? oclif.plugins : []
  const kept = before.filter((one) => !isEntry(one) || !without(one))
  const gone = before.filter((one) => isEntry(one) && without(one)).map((one) => (one as PluginEntry).name)
  const dependencies = Object.fromEntries(
    Object.entries(isJson(document.dependencies) ? document.dependencies : {}).filter(([name]) => !gone.includes(name)),
  )
  const plugins = entry === undefined ? kept : [...kept, entry]
  const next = {name: 'vmctl', private: true, ...document, dependencies, oclif: {...oclif, plugins}}
  await writeFileAtomic(recordPath(directory), `${JSON.stringify(next, undefined, 2)}\n`)
}

/** What vmctl has to know of a package. */
export interface PluginPackage {
  readonly name: string
  readonly version: string
  /** Names and ranges of what the package wants beside it, what is optional left out. */
  readonly peers: Readonly<Record<string, string>>
}

const nameRule = /^(?:@[a-z\d][\w.~-]*\/)?[a-z\d][\w.~-]*$/i

/** Whether npm would give a package this name; no such name leads out of `node_modules`, and none looks like an option. */
export const isPackageName = (name: string): boolean => name.length <= 214 && nameRule.test(name)

/**
 * Reads the package of a plugin, and runs nothing of it.
 * @throws VmctlError `vmctl::plugin::invalid` when it is no plugin; `vmctl::plugin::not_found` when it has no package.json
 */
export const readPlugin = async (root: string): Promise<PluginPackage> => {
  const path = join(root, 'package.json')
  const text = await readIfExists(path)
  if (text === undefined) throw new VmctlError('vmctl::plugin::not_found', `There is no plugin in ${root}: it has no package.json.`)
  const found = parseJson(text)
  const invalid = (why: string): VmctlError =>
    new VmctlError('vmctl::plugin::invalid', `${root} is no plugin of vmctl: ${why}.`, {
      help: 'A plugin is an npm package with `oclif` in its package.json.',
    })
  if (!isJson(found)) throw invalid('its package.json is no JSON object')
  const {name, version = '0.0.0', oclif, peerDependencies, peerDependenciesMeta} = found
  if (typeof name !== 'string' || !isPackageName(name)) throw invalid('its package.json has no name that a package can have')
  if (name === 'vmctl') throw invalid('it is vmctl itself')
  if (!isJson(oclif)) throw invalid('its package.json has no `oclif`')
  const isOptional = (peer: string): boolean => {
    const about = isJson(peerDependenciesMeta) ? peerDependenciesMeta[peer] : undefined
    return isJson(about) && about.optional === true
  }
  const peers = Object.entries(isJson(peerDependencies) ? peerDependencies : {}).filter(
    (peer): peer is [string, string] => typeof peer[1] === 'string' && !isOptional(peer[0]),
  )
  return {name, version: String(version), peers: Object.fromEntries(peers)}
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const isEntry = (value: unknown): value is PluginEntry =>
  isJson(value) &&
  typeof value.name === 'string' &&
  (value.type === 'user' || value.type === 'link') &&
  [value.root, value.tag, value.url].every((one) => one === undefined || typeof one === 'string')

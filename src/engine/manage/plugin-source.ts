import {stat} from 'node:fs/promises'

import {resolvePath} from '../../host/paths.ts'
import {VmctlError} from '../../model/errors.ts'
import {isPackageName, readPlugin} from './plugin-record.ts'

/** Where a plugin is installed from. */
export interface PluginSource {
  /** What npm is asked for. */
  readonly spec: string
  /** Of the registry. */
  readonly registry?: {readonly name: string; readonly tag: string}
}

const pathRule = /^(?:\.{1,2}(?:\/|$)|\/|~\/|file:)/
const urlRule = /^(?:https?|ssh|git|git\+(?:ssh|https?|file)):\/\/|^git@[\w.-]+:|^(?:github|gitlab|bitbucket):/
const fileRule = /\.(?:tgz|tar\.gz)$/
const gitHubRule = /^\w[\w-]*\/[\w.-]+(?:#[\w./-]+)?$/
const packageRule = /^(?<name>(?:@[^/@]+\/)?[^/@]+)(?:@(?<tag>[\w.^~<>=*|+ -]+))?$/

/**
 * Reads NAME[@VERSION], the path of a directory or an archive, a URL, or OWNER/REPOSITORY of GitHub.
 * @throws VmctlError `vmctl::usage::invalid`; `vmctl::plugin::not_found` and `vmctl::plugin::invalid` for a path with no plugin there
 */
export const readSource = async (text: string, directory: string): Promise<PluginSource> => {
  const isUrl = urlRule.test(text)
  if (pathRule.test(text) || (!isUrl && fileRule.test(text))) return {spec: await existing(text.replace(/^file:/, ''), directory)}
  // A word with blanks or controls is none of the others.
  if (isUrl && !/[\s\p{Cc}]/u.test(text)) return {spec: text}
  if (gitHubRule.test(text)) return {spec: `github:${text}`}
  const {name = '', tag = 'latest'} = packageRule.exec(text)?.groups ?? {}
  if (isPackageName(name)) return {spec: `${name}@${tag}`, registry: {name, tag}}
  throw new VmctlError('vmctl::usage::invalid', `${JSON.stringify(text)} is neither a package, nor a path, nor a URL.`, {
    help: 'Give NAME, NAME@VERSION, a path that begins with ./ or /, or a URL.',
  })
}

const existing = async (given: string, directory: string): Promise<string> => {
  const path = resolvePath(given.replace(/^\/\/+/, '/'), directory)
  const info = await stat(path).catch(() => undefined)
  // npm says less well what is wrong with a directory.
  if (info?.isDirectory()) await readPlugin(path)
  if (info?.isDirectory() || info?.isFile()) return path
  throw new VmctlError('vmctl::plugin::not_found', `There is neither a directory nor an archive ${path}.`, {
    help: 'Check the path. A package of the registry is named without ./ and /.',
  })
}

/** Where a plugin came from, for people: a password in a URL is not for them. */
export const withoutPassword = (url: string): string => url.replace(/\/\/[^/@\s]*@/, '//…@')

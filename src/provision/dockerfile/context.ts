import {lstat, readdir, readlink} from 'node:fs/promises'
import {join, posix} from 'node:path'

import {readIfExists, specialKind} from '../../host/files.ts'
import {type Ignore, dockerignorePatterns, wholly} from '../tree/ignore.ts'

/** The directory that COPY and ADD take from. */
export interface Context {
  /** Absolute path. */
  readonly directory: string
  /** The patterns of its .dockerignore, relative to it. */
  readonly patterns: readonly string[]
  readonly ignores: Ignore
}

/**
 * The context of a Dockerfile with its .dockerignore. One that is called after the Dockerfile, and lies beside it, takes the place of
 * that of the context (Docker documentation, "Build context", "Filename and location").
 */
export const openContext = async (directory: string, dockerfile: string): Promise<Context> => {
  const text = (await readIfExists(`${dockerfile}.dockerignore`)) ?? (await readIfExists(join(directory, '.dockerignore'))) ?? ''
  const patterns = text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .flatMap((line) => {
      const rule = line.trim()
      if (rule === '' || line.startsWith('#')) return []
      const sign = rule.startsWith('!') ? '!' : ''
      const pattern = posix.normalize(rule.slice(sign.length).trim()).replaceAll(/^\/+|\/+$/g, '')
      return pattern === '' || pattern === '.' ? [] : [`${sign}${pattern}`]
    })
  return {directory, patterns, ignores: dockerignorePatterns(patterns)}
}

/** Whether a path of the context is ignored, and nothing below it is taken back. The context itself never is. */
const isLeftOut = async (context: Context, path: string): Promise<boolean> =>
  path !== '' && context.ignores(path, false) && !(await holdsSomething(context, path))

const holdsSomething = async (context: Context, path: string): Promise<boolean> => {
  if (!context.ignores.reopens?.(path)) return false
  const directory = join(context.directory, path)
  const info = await lstat(directory).catch(() => undefined)
  const entries = info?.isDirectory() ? await readdir(directory).catch(() => []) : []
  for (const name of entries) if (!(await isLeftOut(context, `${path}/${name}`))) return true
  return false
}

export interface Found {
  /** What it is called where it was found: a link has its own name, not that of its target. */
  readonly name: string
  /** Relative to the context, with slashes, and without links on the way. */
  readonly path: string
  readonly isDirectory: boolean
}

export interface Sources {
  /** Sorted. */
  readonly found: readonly Found[]
  /** What cannot be copied, such as `run/app.sock is a socket`. */
  readonly unfit: readonly string[]
}

/**
 * What a source of COPY names: a path, or a pattern with `*`, `?` and `[` (Go's `filepath.Match`). As in BuildKit the context is
 * the root of the file system: `..` does not leave it, neither do links, and an absolute link begins in it. What is ignored is
 * not there, also behind a link.
 */
export const findSources = async (context: Context, source: string): Promise<Sources> => {
  const parts = posix
    .join('/', source)
    .split('/')
    .filter((part) => part !== '')
  const first = parts.findIndex((part) => /[*?[]/.test(part))
  const paths = first === -1 ? [parts.join('/')] : await matching(context, parts.slice(0, first), parts.slice(first))
  const found: Found[] = []
  const unfit: string[] = []
  for (const one of paths.toSorted()) {
    const path = (await isLeftOut(context, one)) ? undefined : await follow(context, one)
    const info = path === undefined ? undefined : await lstat(join(context.directory, path)).catch(() => undefined)
    if (path === undefined || !info) continue
    const kind = specialKind(info)
    if (kind === undefined) found.push({name: posix.basename(one), path, isDirectory: info.isDirectory()})
    else unfit.push(`${one} is ${kind}`)
  }
  return {found, unfit}
}

/** The paths below a directory that match, part by part. Links below it are not entered. */
const matching = async (
  context: Context,
  directory: readonly string[],
  [pattern = '', ...deeper]: readonly string[],
): Promise<string[]> => {
  const path = await follow(context, directory.join('/'))
  const entries = path === undefined ? [] : await readdir(join(context.directory, path), {withFileTypes: true}).catch(() => [])
  const names = entries.filter(({name}) => wholly(pattern).test(name))
  if (deeper.length === 0) return names.map(({name}) => [...directory, name].join('/'))
  const below = names.filter((entry) => entry.isDirectory()).map(({name}) => matching(context, [...directory, name], deeper))
  return (await Promise.all(below)).flat()
}

/** As many links as Linux follows in one path (path_resolution(7)). */
const mostLinks = 40

/**
 * The path that one leads to within the context, which is the root of all links.
 * @returns undefined when nothing is there, or something on the way is ignored
 */
const follow = async (context: Context, path: string): Promise<string | undefined> => {
  let reached: string[] = []
  const rest = path.split('/')
  for (let links = 0; rest.length > 0;) {
    const part = rest.shift() ?? ''
    if (part === '..') reached.pop()
    if (['', '.', '..'].includes(part)) continue
    const here = [...reached, part]
    const info = await lstat(join(context.directory, ...here)).catch(() => undefined)
    if (!info) return undefined
    if (!info.isSymbolicLink()) {
      reached = here
      continue
    }
    if (++links > mostLinks || context.ignores(here.join('/'), false)) return undefined
    const target = await readlink(join(context.directory, ...here))
    if (target.startsWith('/')) reached = []
    rest.unshift(...target.split('/'))
  }
  const end = reached.join('/')
  return (await isLeftOut(context, end)) ? undefined : end
}

import {lstat, readdir, readlink} from 'node:fs/promises'
import {join, posix} from 'node:path'

import {readIfExists, specialKind} from '../../host/files.ts'
import {patternSource} from '../tree/ignore.ts'

/** The directory that COPY and ADD take from. */
export interface Context {
  /** Absolute path. */
  readonly directory: string
  readonly ignore: readonly IgnoreRule[]
}

/** One line of .dockerignore, relative to the context; the last one that matches decides. */
export interface IgnoreRule {
  readonly pattern: string
  readonly includes: boolean
}

/** The context with its .dockerignore (Dockerfile reference, ".dockerignore files"). */
export const openContext = async (directory: string): Promise<Context> => {
  const text = (await readIfExists(join(directory, '.dockerignore'))) ?? ''
  const ignore = text.split(/\r?\n/).flatMap((line) => {
    const rule = line.trim()
    if (rule === '' || rule.startsWith('#')) return []
    const includes = rule.startsWith('!')
    const pattern = posix.normalize(includes ? rule.slice(1).trim() : rule).replaceAll(/^\/+|\/+$/g, '')
    return pattern === '' || pattern === '.' ? [] : [{pattern, includes}]
  })
  return {directory, ignore}
}

/** Whether a path of the context, or a directory above it, is ignored. */
export const isIgnored = ({ignore}: Context, path: string): boolean => {
  const parents = path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'))
  return ignore.reduce((ignored, {pattern, includes}) => {
    const matches = wholly(pattern)
    return parents.some((one) => matches.test(one)) ? !includes : ignored
  }, false)
}

const wholly = (pattern: string): RegExp => new RegExp(`^${patternSource(pattern)}$`, 'su')

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
    const path = isIgnored(context, one) ? undefined : await follow(context, one)
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
    if (++links > mostLinks || isIgnored(context, here.join('/'))) return undefined
    const target = await readlink(join(context.directory, ...here))
    if (target.startsWith('/')) reached = []
    rest.unshift(...target.split('/'))
  }
  const end = reached.join('/')
  return end !== '' && isIgnored(context, end) ? undefined : end
}

/**
 * The rules of .dockerignore as patterns of a `file` step (those of .gitignore) whose source is a directory of the context.
 * Patterns of both are anchored at the directory here, because .dockerignore's are.
 */
export const ignorePatterns = ({ignore}: Context, directory: string): readonly string[] => {
  const above = directory === '' ? [] : directory.split('/')
  return ignore.flatMap(({pattern, includes}) => {
    const rest = below(pattern.split('/'), above)
    return rest === undefined ? [] : [`${includes ? '!' : ''}/${rest.join('/')}`]
  })
}

/** What remains of a pattern below some directories; undefined when it cannot match anything there. */
const below = (pattern: readonly string[], directories: readonly string[]): readonly string[] | undefined => {
  const [segment, ...rest] = pattern
  const [directory, ...deeper] = directories
  if (segment === undefined || directory === undefined) return segment === undefined ? undefined : pattern
  if (segment === '**') return pattern
  return wholly(segment).test(directory) ? below(rest, deeper) : undefined
}

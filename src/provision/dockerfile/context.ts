import {glob, lstat} from 'node:fs/promises'
import {join, matchesGlob, posix, relative, sep} from 'node:path'

import {readIfExists} from '../../host/files.ts'

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
  return ignore.reduce((ignored, {pattern, includes}) => (parents.some((one) => matchesGlob(one, pattern)) ? !includes : ignored), false)
}

export interface Found {
  /** Relative to the context, with slashes. */
  readonly path: string
  readonly isDirectory: boolean
}

/**
 * What a source of COPY names: a path, or a pattern with `*`, `?` and `[`. Nothing outside of the context is ever found.
 * @returns sorted, without what is ignored
 */
export const findSources = async (context: Context, source: string): Promise<readonly Found[]> => {
  const path = posix.normalize(source).replace(/^\/+/, '').replace(/\/+$/, '') || '.'
  if (path === '..' || path.startsWith('../')) return []
  const paths = /[*?[]/.test(path) ? await Array.fromAsync(glob(path, {cwd: context.directory})) : [path]
  const found = await Promise.all(
    paths.map(async (one) => {
      const relativePath = relative(context.directory, join(context.directory, one)).split(sep).join('/')
      const info = await lstat(join(context.directory, one)).catch(() => undefined)
      return info && {path: relativePath, isDirectory: info.isDirectory()}
    }),
  )
  return found
    .filter((one) => one !== undefined)
    .filter(({path: one}) => one === '' || !isIgnored(context, one))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))
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
  return matchesGlob(directory, segment) ? below(rest, deeper) : undefined
}

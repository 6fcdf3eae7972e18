/** Tells whether an entry of a tree is left out. `name` is relative, with slashes. */
export interface Ignore {
  (name: string, isDirectory: boolean): boolean
  /** Whether something below a directory that is left out may not be; nothing is when absent. */
  readonly reopens?: (directory: string) => boolean
}

interface Rule {
  readonly pattern: RegExp
  readonly negated: boolean
  readonly directoriesOnly: boolean
}

/**
 * The patterns of gitignore(5): one without an inner slash matches at any depth, one with a slash from the top; `*`, `?`
 * and `[…]` stay within a name, `**` crosses directories; a slash at the end means directories only; `!` takes
 * something back, the last match counts. What is below an ignored directory is never looked at.
 */
export const ignorePatterns = (patterns: readonly string[]): Ignore => {
  const rules = patterns.flatMap(toRule)
  return (name, isDirectory) => {
    const last = rules.findLast(({pattern, directoriesOnly}) => (isDirectory || !directoriesOnly) && pattern.test(name))
    return last !== undefined && !last.negated
  }
}

/**
 * The patterns of .dockerignore (Dockerfile reference, ".dockerignore files"), without slashes at their ends: each is anchored, and
 * takes what is below its matches too; `!` takes something back also below a directory that is ignored. The last match counts.
 */
export const dockerignorePatterns = (patterns: readonly string[]): Ignore => {
  const rules = patterns.map((text) => {
    const negated = text.startsWith('!')
    const path = negated ? text.slice(1) : text
    return {negated, segments: path.split('/'), pattern: wholly(path)}
  })
  const exceptions = rules.filter(({negated}) => negated)
  const ignores = (name: string): boolean => {
    const paths = pathsTo(name)
    const last = rules.findLast(({pattern}) => paths.some((path) => pattern.test(path)))
    return last !== undefined && !last.negated
  }
  return Object.assign(ignores, {
    reopens: (directory: string): boolean => exceptions.some(({segments}) => below(segments, directory.split('/')) !== undefined),
  })
}

/** Such patterns as they are seen from a directory below. */
export const dockerignoreBelow = (patterns: readonly string[], directory: string): readonly string[] => {
  if (directory === '') return patterns
  const paths = pathsTo(directory)
  return patterns.flatMap((text) => {
    const sign = text.startsWith('!') ? '!' : ''
    const path = text.slice(sign.length)
    if (paths.some((one) => wholly(path).test(one))) return [`${sign}**`]
    const rest = below(path.split('/'), directory.split('/'))
    return rest === undefined ? [] : [`${sign}${rest.join('/')}`]
  })
}

/** A path and the directories above it. */
const pathsTo = (name: string): readonly string[] => name.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'))

/** What remains of a pattern below some directories; undefined when it cannot match anything there. */
const below = (pattern: readonly string[], directories: readonly string[]): readonly string[] | undefined => {
  const [segment, ...rest] = pattern
  const [directory, ...deeper] = directories
  if (segment === undefined || directory === undefined) return segment === undefined ? undefined : pattern
  if (segment === '**') return pattern
  return wholly(segment).test(directory) ? below(rest, deeper) : undefined
}

/** What a name or a path is as a whole. */
export const wholly = (pattern: string): RegExp => new RegExp(`^${patternSource(pattern)}$`, 'su')

const toRule = (text: string): Rule[] => {
  const negated = text.startsWith('!')
  const body = negated ? text.slice(1) : text
  const directoriesOnly = body.endsWith('/')
  const path = directoriesOnly ? body.slice(0, -1) : body
  if (path === '') return []
  const anchored = path.includes('/')
  return [{pattern: new RegExp(`^${anchored ? '' : '(?:.*/)?'}${patternSource(path.replace(/^\//, ''))}$`, 'su'), negated, directoriesOnly}]
}

/** The pieces of a pattern, the longest first. */
const piece = /(?<=^|\/)\*\*\/|\/\*\*\/|\/\*\*$|\*+|\?|\[(?<not>[!^]?)(?<set>\]?(?:\\.|[^\]\\])*)\]|\\(?<escaped>.)|(?<plain>.)/gsu

/** The source of a regular expression for such a pattern, without its anchors. */
const patternSource = (pattern: string): string => {
  // Behind the slash of `/**` there is nothing else that could say which directories it crosses.
  if (pattern === '**') return '.+'
  return pattern.replaceAll(piece, (match: string, ...rest: unknown[]) => {
    const {not, set, escaped, plain} = rest.at(-1) as Record<string, string | undefined>
    if (match === '**/') return '(?:.*/)?'
    if (match === '/**/') return '/(?:.*/)?'
    if (match === '/**') return '/.+'
    if (match.startsWith('*')) return '[^/]*'
    if (match === '?') return '[^/]'
    if (set !== undefined) return `(?!/)[${not === '' ? '' : '^'}${setOf(set)}]`
    return literal(escaped ?? plain ?? '')
  })
}

const literal = (character: string): string => character.replace(/[\\^$.*+?()[\]{}|/]/u, String.raw`\$&`)

/** The inside of `[…]`: ranges stay, everything else stands for itself. */
const setOf = (text: string): string =>
  text
    .replaceAll(/\\(.)/gsu, '$1')
    .replaceAll(/[\\\]^[]/gu, String.raw`\$&`)
    .replace(/^-/, String.raw`\-`)
    .replace(/-$/, String.raw`\-`)

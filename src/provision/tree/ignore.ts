/** Tells whether an entry of a tree is left out. `name` is relative, with slashes. */
export type Ignore = (name: string, isDirectory: boolean) => boolean

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
export const patternSource = (pattern: string): string => {
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

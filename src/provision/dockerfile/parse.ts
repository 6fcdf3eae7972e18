import type {Escape} from './words.ts'

/**
 * The syntax of a Dockerfile (Dockerfile reference: "Format", "Parser directives", "Here-documents", "Shell and exec form").
 * What the instructions mean is in `steps.ts`.
 */

export interface Instruction {
  /** In upper case. */
  readonly keyword: string
  /** Counts from 1. */
  readonly line: number
  /** `--name=value` options in front of the arguments. */
  readonly flags: readonly {readonly name: string; readonly value: string}[]
  /** What follows the keyword and the flags: continued lines joined, comments between them removed. */
  readonly text: string
  /** The strings of the exec form `["a", "b"]`; absent for the shell form. */
  readonly exec?: readonly string[]
  /** Here-documents in the order in which they are announced. */
  readonly documents: readonly HereDocument[]
}

export interface HereDocument {
  readonly name: string
  /** As it is written: `<<-"EOF"`. */
  readonly announcement: string
  /** Quoted names switch the expansion of variables off. */
  readonly expands: boolean
  readonly content: string
  /** The lines of the content and of its end as they stand in the file. */
  readonly source: string
}

export interface Dockerfile {
  readonly instructions: readonly Instruction[]
  /** The character that continues a line and escapes. */
  readonly escape: Escape
}

/** A Dockerfile that cannot be understood, or that asks for what a VM cannot have. */
export class DockerfileError extends Error {
  readonly line: number
  constructor(line: number, message: string) {
    super(message)
    this.line = line
  }
}

/** Reads a Dockerfile. Throws a DockerfileError with its line. */
export const parseDockerfile = (content: string): Dockerfile => {
  const lines = content.replace(/^\uFEFF/, '').split(/\r?\n/)
  const escape = escapeDirective(lines)
  const instructions: Instruction[] = []
  let index = 0
  while (index < lines.length) {
    const start = index
    const {text, next} = logicalLine(lines, index, escape)
    index = next
    if (text === '') continue
    const instruction = splitInstruction(text, start + 1)
    const documents: HereDocument[] = []
    for (const {announcement, name, expands, stripsTabs} of announcements(instruction)) {
      const read = hereDocument(lines, index, {name, stripsTabs, line: start + 1})
      index = read.next
      documents.push({announcement, name, expands, content: read.content, source: read.source})
    }
    instructions.push({...instruction, documents})
  }
  return {instructions, escape}
}

/** Directives are the comments at the very top, `# name=value`; the first line that is none ends them. */
const escapeDirective = (lines: readonly string[]): Escape => {
  let escape: Escape | undefined
  for (const [index, line] of lines.entries()) {
    const [, name, value] = /^\s*#\s*([a-z][a-z0-9]*)\s*=\s*(.+?)\s*$/i.exec(line) ?? []
    if (name === undefined || value === undefined) break
    if (name.toLowerCase() !== 'escape') continue
    if (value !== '\\' && value !== '`') throw new DockerfileError(index + 1, `escape must be \\ or \`, not ${value}`)
    if (escape !== undefined) throw new DockerfileError(index + 1, 'escape is given twice')
    escape = value
  }
  return escape ?? '\\'
}

const isComment = (line: string): boolean => /^\s*#/.test(line)

/** The escape character at the end of a line, or alone on it. One that is escaped itself is no continuation (BuildKit's parser). */
const continuation = {'\\': /(?:(?<=[^\\])|^)\\[ \t]*$/, '`': /(?:(?<=[^`])|^)`[ \t]*$/} as const

/** An instruction with its continuations; `text` is empty for a blank line or a comment. */
const logicalLine = (lines: readonly string[], start: number, escape: Escape): {text: string; next: number} => {
  const continues = continuation[escape]
  let text = ''
  let index = start
  for (; index < lines.length; index++) {
    const line = lines[index] ?? ''
    if (isComment(line) || (index > start && line.trim() === '')) {
      if (index === start) return {text: '', next: index + 1}
      continue
    }
    if (!continues.test(line)) return {text: `${text}${line}`.trim(), next: index + 1}
    text += line.replace(continues, '')
  }
  return {text: text.trim(), next: index}
}

const splitInstruction = (source: string, line: number): Omit<Instruction, 'documents'> => {
  const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(source) ?? []
  const keyword = word.toUpperCase()
  const flags: {name: string; value: string}[] = []
  let text = rest
  for (;;) {
    const [whole, name, value] = /^--([a-z][\w-]*)(?:=((?:"[^"]*"|'[^']*'|[^\s"'])*))?(?:\s+|$)/i.exec(text) ?? []
    if (whole === undefined || name === undefined || !takesFlags.has(keyword)) break
    flags.push({name, value: unquote(value ?? '')})
    text = text.slice(whole.length)
  }
  const exec = execForm(text)
  return {keyword, line, flags, text, ...(exec && {exec})}
}

const takesFlags: ReadonlySet<string> = new Set(['FROM', 'RUN', 'COPY', 'ADD', 'HEALTHCHECK'])

const unquote = (value: string): string => value.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2')

/** The exec form is a JSON array of strings; anything else is a shell line that happens to begin with a bracket. */
const execForm = (text: string): readonly string[] | undefined => {
  if (!text.startsWith('[')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined
  } catch {
    return undefined
  }
}

interface Announcement {
  readonly announcement: string
  readonly name: string
  readonly expands: boolean
  readonly stripsTabs: boolean
}

/** `<<NAME`, `<<-NAME`, `<<"NAME"` outside of quotes, in the instructions that know them. */
const announcements = ({keyword, text, exec}: Omit<Instruction, 'documents'>): Announcement[] => {
  if (exec || !['RUN', 'COPY', 'ADD'].includes(keyword)) return []
  const tokens = /\\.|"(?:\\.|[^"\\])*"|'[^']*'|<<<|<<(?<dash>-?)(?:"(?<double>[^"\s]+)"|'(?<single>[^'\s]+)'|(?<bare>[A-Za-z_][\w.-]*))/gs
  return [...text.matchAll(tokens)].flatMap(({0: announcement, groups}) => {
    const name = groups?.double ?? groups?.single ?? groups?.bare
    return name === undefined ? [] : [{announcement, name, expands: groups?.bare !== undefined, stripsTabs: groups?.dash === '-'}]
  })
}

const hereDocument = (
  lines: readonly string[],
  start: number,
  {name, stripsTabs, line}: {name: string; stripsTabs: boolean; line: number},
): {content: string; source: string; next: number} => {
  const content: string[] = []
  for (let index = start; index < lines.length; index++) {
    const raw = lines[index] ?? ''
    const shown = stripsTabs ? raw.replace(/^\t+/, '') : raw
    if (shown === name) {
      const source = lines.slice(start, index + 1).join('\n')
      return {content: content.map((text) => `${text}\n`).join(''), source, next: index + 1}
    }
    content.push(shown)
  }
  throw new DockerfileError(line, `the here-document ${name} has no end`)
}

import {type Place, type Problem, VmctlError} from '../../model/errors.ts'

/** A part of the text, in UTF-16 offsets; `end` is exclusive. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** Collects what is wrong with one file; places become lines and columns only at the end. */
export interface Report {
  error(span: Span, message: string, hint?: string): void
  warning(span: Span, message: string, hint?: string): void
  /** A syntax error: what follows cannot be trusted. */
  syntax(span: Span, message: string, hint?: string): void
  readonly hasErrors: () => boolean
  /** Counts from 1; for messages that name another place. */
  lineOf(offset: number): number
  /** Where a part of the text is, for what is found out about it later. */
  placeOf(span: Span): Place
  readonly count: () => number
  /** What was reported, in the order of the text; of a flood only the first 1000. */
  problems(): readonly Problem[]
}

/** No person reads more, and drawing hundreds of thousands would take minutes. */
const mostProblems = 1000

type Finding = Span & Pick<Problem, 'code' | 'severity' | 'message'> & {readonly hint: string | undefined}

/** Starts a report about `text`, which the user knows as `file`. */
export const startReport = (text: string, file: string): Report => {
  const findings: Finding[] = []
  const known = new Set<string>()
  const add =
    (code: Finding['code'], severity: Finding['severity']) =>
    ({start, end}: Span, message: string, hint?: string): void => {
      // What the defaults of a project say is checked with each VM.
      const key = `${start} ${end} ${message}`
      if (known.has(key)) return
      known.add(key)
      findings.push({start, end, code, severity, message, hint})
    }
  let starts: readonly number[] | undefined
  return {
    error: add('vmctl::vmfile::validation', 'error'),
    warning: add('vmctl::vmfile::validation', 'warning'),
    syntax: add('vmctl::vmfile::parse_failed', 'error'),
    hasErrors: () => findings.some(({severity}) => severity === 'error'),
    lineOf: (offset) => lineIndex((starts ??= lineStarts(text)), offset) + 1,
    placeOf: (span) => {
      const finding: Finding = {...span, code: 'vmctl::vmfile::validation', severity: 'error', message: '', hint: undefined}
      const [found] = place([finding], text, file)
      return {file, line: found?.line ?? 1, column: found?.column ?? 1, length: found?.length ?? 1}
    },
    count: () => findings.length,
    problems: () => place(findings, text, file),
  }
}

/** Lines as editors count them. KDL's other line ends (form feed, U+2028, …) do not start a new line for people. */
const lineStarts = (text: string): readonly number[] => [
  0,
  ...Array.from(text.matchAll(/\r\n|\n|\r/g), (match) => match.index + match[0].length),
]

const lineIndex = (starts: readonly number[], offset: number): number => {
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((starts[middle] ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return low
}

const codePoints = (text: string): number => {
  let count = 0
  for (const _ of text) count++
  return count
}

const byPlace = (a: Finding, b: Finding): number => a.start - b.start || a.end - b.end

/** One pass over the text in order, so that thousands of problems on one long line stay cheap. */
const place = (findings: readonly Finding[], text: string, file: string): readonly Problem[] => {
  const starts = lineStarts(text)
  let line = 0
  let counted = 0
  let column = 1
  return findings
    .toSorted(byPlace)
    .slice(0, mostProblems)
    .map(({start, end, hint, ...finding}) => {
      const next = lineIndex(starts, start)
      // The byte order mark is not a character of the first line that anybody sees.
      if (next !== line || counted === 0) {
        line = next
        counted = Math.max(starts[line] ?? 0, text.startsWith('\uFEFF') ? 1 : 0)
        column = 1
      }
      const from = Math.max(start, counted)
      column += codePoints(text.slice(counted, from))
      counted = from
      const lineEnd = text.slice(from, Math.max(from, end)).search(/[\r\n]/)
      const length = Math.max(1, codePoints(text.slice(from, lineEnd === -1 ? end : from + lineEnd)))
      return {...finding, file, line: line + 1, column, length, ...(hint === undefined ? {} : {hint})}
    })
}

/** Every problem of the file in one error; a syntax error decides its code. */
export const problemsError = (report: Report, file: string): VmctlError => {
  const problems = report.problems()
  const isSyntax = problems.some(({code}) => code === 'vmctl::vmfile::parse_failed')
  const count = report.count() === 1 ? '1 problem' : `${report.count()} problems`
  return new VmctlError(isSyntax ? 'vmctl::vmfile::parse_failed' : 'vmctl::vmfile::validation', `${count} in ${file}`, {problems})
}

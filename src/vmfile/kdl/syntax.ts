import {explainSyntax} from './explain.ts'
import {type Fault, fault} from './fault.ts'
import type {Lexeme} from './lexemes.ts'
import {readNodes} from './nodes.ts'
import type {Report} from './report.ts'
import {mostFaults, scanLexemes} from './scan.ts'
import type {KdlNode} from './tree.ts'

/** Where so much is wrong, the rest is probably no VMFile either. */
const fewFaults = 5

/**
 * Parses KDL 2, and the words of KDL 1 that are unambiguous (with a warning). Syntax errors go into the report, one for a line: what
 * follows on it is mostly a consequence.
 * @param salvage called with what could be read of a file with a few errors, and whether something was reported about a line of it
 * @returns the nodes of the file, or undefined when it is not KDL
 */
export const parseKdl = (
  text: string,
  report: Report,
  salvage: (nodes: readonly KdlNode[], isReported: (offset: number) => boolean) => void = () => undefined,
): readonly KdlNode[] | undefined => {
  const {lexemes: scanned, faults, isWhole, open} = scanLexemes(text)
  const {lexemes: written, oldWords} = isKdl2Only(text) ? {lexemes: scanned, oldWords: []} : adaptOldWords(text, scanned)
  const close: Lexeme = {kind: '}', start: text.length, end: text.length}
  const lexemes = open === 0 ? written : [...written, ...Array.from({length: open}, () => close)]
  const found = [...faults]
  const tell = (offset: number): boolean => {
    if (found.length < mostFaults) found.push(explainSyntax(lexemes, text, offset))
    return found.length < mostFaults
  }
  const nodes = isWhole ? readNodes(text, lexemes, tell) : undefined
  if (nodes && found.length === 0) {
    for (const word of oldWords) report.warning(word, word.message, word.hint)
    return nodes
  }
  const lines = new Set<number>()
  for (const one of found.toSorted((a, b) => a.start - b.start)) {
    const line = report.lineOf(one.start)
    if (!lines.has(line)) report.syntax(one, one.message, one.hint)
    lines.add(line)
  }
  if (nodes && open === 0 && lines.size <= fewFaults) salvage(nodes, (offset) => lines.has(report.lineOf(offset)))
  return undefined
}

const isKdl2Only = (text: string): boolean => /^\uFEFF?\s*\/-\s*kdl-version\s+2\s*(?:[\n\r;]|$)/.test(text)

const keywords: ReadonlySet<string> = new Set(['true', 'false', 'null'])

interface Adapted {
  readonly lexemes: readonly Lexeme[]
  /** The words of KDL 1, which are accepted with a warning. */
  readonly oldWords: readonly Fault[]
}

/**
 * Takes the words of KDL 1 for those of KDL 2: `true`, `false` and `null` cannot be anything else, because KDL 2 reserves
 * them, and `r#"…"#` has no other reading either.
 */
const adaptOldWords = (text: string, scanned: readonly Lexeme[]): Adapted => {
  const lexemes: Lexeme[] = []
  const oldWords: Fault[] = []
  for (const [index, lexeme] of scanned.entries()) {
    const {kind, start, end} = lexeme
    const image = kind === 'bare' && end - start <= 5 ? text.slice(start, end) : ''
    const next = scanned[index + 1]
    if (keywords.has(image)) {
      oldWords.push(fault(start, end, `${image} is KDL 1`, `write #${image}, as in KDL 2`))
      lexemes.push({kind: 'keyword', start, end})
    } else if (image === 'r' && next?.kind === 'string' && next.start === end && text[end] === '#') {
      oldWords.push(fault(start, end, 'this is a raw string of KDL 1', 'leave out the r, as in KDL 2'))
    } else lexemes.push(lexeme)
  }
  return {lexemes, oldWords}
}

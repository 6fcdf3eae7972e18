import {explainSyntax} from './explain.ts'
import {type Fault, fault} from './fault.ts'
import type {Lexeme} from './lexemes.ts'
import {readNodes, Unexpected} from './nodes.ts'
import type {Report} from './report.ts'
import {scanLexemes} from './scan.ts'
import type {KdlNode} from './tree.ts'

/**
 * Parses KDL 2, and the words of KDL 1 that are unambiguous (with a warning). Syntax errors go into the report.
 * @returns the nodes of the file, or undefined when it is not KDL
 */
export const parseKdl = (text: string, report: Report): readonly KdlNode[] | undefined => {
  const scanned = scanLexemes(text)
  if ('message' in scanned) {
    report.syntax(scanned, scanned.message, scanned.hint)
    return undefined
  }
  const {lexemes, oldWords} = isKdl2Only(text) ? {lexemes: scanned, oldWords: []} : adaptOldWords(text, scanned)
  try {
    const nodes = readNodes(text, lexemes)
    for (const word of oldWords) report.warning(word, word.message, word.hint)
    return nodes
  } catch (error) {
    if (!(error instanceof Unexpected)) throw error
    const found = explainSyntax(lexemes, text, error.offset)
    report.syntax(found, found.message, found.hint)
    return undefined
  }
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

import {lexer, parser, type Token} from 'kdljs/src/parser/kdl.js'
import * as Tokens from 'kdljs/src/parser/tokens.js'

import {explainSyntax} from './explain.ts'
import {type Fault, fault} from './fault.ts'
import {groupTokens} from './lexemes.ts'
import {locate} from './locate.ts'
import type {Report} from './report.ts'
import {findLexicalFault} from './scan.ts'
import type {KdlNode} from './tree.ts'

/**
 * Parses KDL 2, and the words of KDL 1 that are unambiguous (with a warning). Syntax errors go into the report.
 * @returns the nodes of the file, or undefined when it is not KDL
 */
export const parseKdl = (text: string, report: Report): readonly KdlNode[] | undefined => {
  const lexical = findLexicalFault(text)
  if (lexical) {
    report.syntax(lexical, lexical.message, lexical.hint)
    return undefined
  }
  const {tokens, errors} = lexer.tokenize(text)
  const unexpected = errors[0]
  if (unexpected) {
    report.syntax(
      {start: unexpected.offset, end: unexpected.offset + 1},
      'unexpected character',
      'put a text with special characters between double quotes',
    )
    return undefined
  }
  const {adapted, oldWords} = adaptTokens(tokens, isKdl2Only(text))
  const lexemes = groupTokens(adapted)
  parser.input = adapted
  const document = withoutStackTraces(() => parser.document())
  const error = parser.errors[0]
  if (error) {
    const offset = [error.token, error.previousToken]
      .map((token) => token?.startOffset)
      .find((place) => place !== undefined && !Number.isNaN(place))
    const found = explainSyntax(lexemes, text, offset ?? text.length)
    report.syntax(found, found.message, found.hint)
    return undefined
  }
  for (const word of oldWords) report.warning(word, word.message, word.hint)
  return locate(document, lexemes, (lexeme) => {
    parser.input = [...lexeme.tokens]
    return parser.string()
  })
}

/**
 * The parser tries every value as a property first, and throws when it is none. Nobody sees these errors,
 * and without their stack traces parsing takes half the time.
 */
const withoutStackTraces = <T>(work: () => T): T => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return work()
  } finally {
    Error.stackTraceLimit = limit
  }
}

const isKdl2Only = (text: string): boolean => /^\uFEFF?\s*\/-\s*kdl-version\s+2\s*(?:[\n\r;]|$)/.test(text)

const keywords: ReadonlyMap<string, typeof Tokens.Boolean> = new Map([
  ['true', Tokens.Boolean],
  ['false', Tokens.Boolean],
  ['null', Tokens.Null],
])

interface Adapted {
  readonly adapted: Token[]
  /** The words of KDL 1, which are accepted with a warning. */
  readonly oldWords: readonly Fault[]
}

/**
 * Sets right what kdljs gets wrong, and turns words of KDL 1 into those of KDL 2: `true`, `false` and `null` cannot be
 * anything else, because KDL 2 reserves them, and `r#"…"#` has no other reading either.
 */
const adaptTokens = (tokens: readonly Token[], isVersion2: boolean): Adapted => {
  const adapted: Token[] = []
  const oldWords: Fault[] = []
  for (const [index, token] of tokens.entries()) {
    const {name} = token.tokenType
    const span = {start: token.startOffset, end: token.endOffset + 1}
    const keyword = name === 'Identifier' && !isVersion2 ? keywords.get(token.image) : undefined
    const next = tokens[index + 1]
    if (keyword) {
      oldWords.push(fault(span.start, span.end, `${token.image} is KDL 1`, `write #${token.image}, as in KDL 2`))
      adapted.push(retype(token, keyword, `#${token.image}`))
    } else if (!isVersion2 && token.image === 'r' && next?.startOffset === span.end && next.tokenType.name.endsWith('RawString')) {
      oldWords.push(fault(span.start, span.end, 'this is a raw string of KDL 1', 'leave out the r, as in KDL 2'))
    } else if (name === 'UnicodeEscape' && token.image.length > '\\u{FFFF}'.length) {
      // kdljs 0.3.0 decodes with String.fromCharCode, which cannot go beyond U+FFFF.
      adapted.push(retype(token, Tokens.Unicode, String.fromCodePoint(Number.parseInt(token.image.slice(3, -1), 16))))
    } else {
      // kdljs 0.3.0 wants a blank before these, KDL 2 does not.
      if (name === 'LeftBrace' || name === 'BlockComment') adapted.push(retype(token, Tokens.WhiteSpace, ''))
      adapted.push(token)
    }
  }
  return {adapted, oldWords}
}

const retype = (token: Token, type: typeof Tokens.Boolean, image: string): Token => ({
  ...token,
  image,
  tokenType: type,
  tokenTypeIdx: type.tokenTypeIdx,
})

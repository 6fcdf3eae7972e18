/** A piece of a text: characters, or Ruby code whose value stands there. */
export type TextPart = string | {readonly code: string; readonly line: number}

/** The characters of a text without code in it. */
export const plainText = (parts: readonly TextPart[]): string | undefined => {
  const texts = parts.filter((part) => typeof part === 'string')
  return texts.length === parts.length ? texts.join('') : undefined
}

export type TokenKind =
  | 'name'
  | 'constant'
  /** `$a`, `@a`, `@@a`. */
  | 'variable'
  /** `a:`, `"a":`. */
  | 'label'
  | 'number'
  | 'text'
  | 'symbol'
  /** `%w[a b]` and `%i[a b]`. */
  | 'words'
  /** What is read but has no value here: regular expressions, commands in backquotes. */
  | 'opaque'
  | 'operator'
  | 'newline'
  | 'end'

export interface Token {
  readonly kind: TokenKind
  readonly text: string
  readonly line: number
  /** The line in which it ends. */
  readonly lastLine: number
  readonly spaceBefore: boolean
  readonly spaceAfter: boolean
  readonly parts: readonly TextPart[]
}

/** Words that begin or end something and are never names, unless a dot stands before them. */
export const keywords: ReadonlySet<string> = new Set([
  ...['if', 'unless', 'else', 'elsif', 'end', 'while', 'until', 'for', 'in', 'do', 'then', 'case', 'when', 'def', 'class', 'module'],
  ...['begin', 'rescue', 'ensure', 'return', 'next', 'break', 'redo', 'retry', 'and', 'or', 'not', 'nil', 'true', 'false', 'self'],
  ...['yield', 'super', 'alias', 'undef', 'defined?'],
])

/** Behind these a value begins, so that `/`, `%`, `<<`, `[` and the like are no operators between two values. */
const beforeValue: ReadonlySet<string> = new Set([
  ...['if', 'unless', 'elsif', 'while', 'until', 'in', 'do', 'then', 'case', 'when', 'return', 'next', 'break', 'and', 'or', 'not'],
  ...['else', 'begin', 'ensure', 'yield'],
])

/** Whether a value is expected behind a token. */
export const expectsValue = (token: Token | undefined): boolean => {
  if (token === undefined) return true
  if (token.kind === 'operator') return ![')', ']', '}'].includes(token.text)
  if (token.kind === 'name') return beforeValue.has(token.text)
  return token.kind === 'newline' || token.kind === 'label'
}

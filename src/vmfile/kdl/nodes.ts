import {decodeKeyword, decodeNumber, decodeString} from './decode.ts'
import type {Lexeme, LexemeKind} from './lexemes.ts'
import type {Span} from './report.ts'
import type {KdlNode, Property, Scalar, Value} from './tree.ts'

/** A lexeme has no place in the grammar. */
class Unexpected extends Error {
  /** Where the lexeme stands that cannot stand there; the length of the text when there is none. */
  readonly offset: number

  constructor(offset: number) {
    super(`not KDL at ${offset}`)
    this.offset = offset
  }
}

/** Words that KDL 2 keeps for keywords without their `#`. */
export const reserved = /^(?:true|false|null|inf|-inf|nan)$/

/**
 * Builds the nodes of a document from its lexemes (KDL 2.0.0, "Full Grammar"). Depth is limited by the scanner.
 * @param onUnexpected called with the offset of each lexeme that has no place in the grammar; its node is left out. Returns whether to go on
 */
export const readNodes = (text: string, lexemes: readonly Lexeme[], onUnexpected: (offset: number) => boolean): readonly KdlNode[] => {
  let at = 0
  const kind = (): LexemeKind | undefined => lexemes[at]?.kind
  const fail = (index = at): never => {
    throw new Unexpected(lexemes[index]?.start ?? text.length)
  }
  const image = ({start, end}: Span): string => text.slice(start, end)
  const take = (...kinds: readonly LexemeKind[]): Lexeme => {
    const lexeme = lexemes[at]
    if (!lexeme || !kinds.includes(lexeme.kind)) return fail()
    at++
    return lexeme
  }
  const skipLineEnds = (): void => {
    for (let lexeme = lexemes[at]; lexeme?.kind === 'end' && text[lexeme.start] !== ';'; lexeme = lexemes[at]) at++
  }
  /** `/-`, and whatever it comments out. */
  const slashdash = (): boolean => {
    if (kind() !== '/-') return false
    at++
    skipLineEnds()
    return true
  }
  const annotation = (): {annotation?: Span} => {
    if (kind() !== '(') return {}
    const from = at
    const {start} = take('(')
    // Parentheses that annotate nothing were meant for something else.
    if (!isWord(kind()) || lexemes[at + 1]?.kind !== ')') fail(from)
    word()
    return {annotation: {start, end: take(')').end}}
  }
  /** An identifier or a string. */
  const word = (): Span & {readonly text: string} => {
    const {kind: found, start, end} = take('bare', 'string')
    const whole = image({start, end})
    if (found === 'bare') return reserved.test(whole) ? fail(at - 1) : {start, end, text: whole}
    const decoded = decodeString(whole)
    if (decoded === undefined) throw new Unexpected(start + 1)
    return {start, end, text: decoded}
  }
  const scalar = (): Span & {readonly value: Scalar} => {
    if (kind() === 'number') return valueOf(take('number'), decodeNumber)
    if (kind() === 'keyword') return valueOf(take('keyword'), decodeKeyword)
    const {start, end, text: value} = word()
    return {start, end, value}
  }
  const valueOf = ({start, end}: Lexeme, decode: (image: string) => Scalar) => ({start, end, value: decode(image({start, end}))})
  const value = (): Value => {
    const from = at
    const note = annotation()
    if (note.annotation && !isScalar(kind())) fail(from)
    return {...note, ...scalar()}
  }

  const property = (): Property => {
    const {start, end, text: key} = word()
    const equals = at
    take('=')
    const given = lexemes[at]
    // The slip is told about the =, whatever stands after it.
    if ((kind() !== '(' && !isScalar(kind())) || (given?.kind === 'bare' && reserved.test(image(given)))) fail(equals)
    return {key, span: {start, end}, value: value()}
  }

  const node = (): KdlNode => {
    const note = annotation()
    const {start, end, text: name} = word()
    const args: Value[] = []
    const properties: Property[] = []
    let children: readonly KdlNode[] | undefined
    let hasBlock = false
    while (kind() !== undefined && kind() !== 'end' && kind() !== '}') {
      const isGlued = lexemes[at]?.start === lexemes[at - 1]?.end
      const isOff = slashdash()
      if (kind() === '{') {
        if (children && !isOff) fail()
        const inside = block()
        hasBlock = true
        if (!isOff) children = inside
        continue
      }
      // A blank is missing, or the block was not the end.
      if (hasBlock || (isGlued && !isOff)) fail()
      if (isWord(kind()) && lexemes[at + 1]?.kind === '=') {
        const entry = property()
        if (!isOff) properties.push(entry)
      } else {
        const entry = value()
        if (!isOff) args.push(entry)
      }
    }
    return {name, span: {start, end}, ...note, args, properties: keepLast(properties), ...(children ? {children} : {})}
  }

  /** To the end of a node that cannot be read, with what is left of its block. */
  const skipNode = (): void => {
    for (let depth = 0; kind() !== undefined && (depth > 0 || (kind() !== 'end' && kind() !== '}')); at++) {
      if (kind() === '{') depth++
      else if (kind() === '}') depth--
    }
  }

  const nodes = (): readonly KdlNode[] => {
    const found: KdlNode[] = []
    for (skipLineEnds(); kind() !== undefined && kind() !== '}'; skipLineEnds()) {
      try {
        const isOff = slashdash()
        const one = node()
        if (!isOff) found.push(one)
      } catch (error) {
        if (!(error instanceof Unexpected)) throw error
        if (onUnexpected(error.offset)) skipNode()
        else at = lexemes.length
      }
      if (kind() === 'end') at++
    }
    return found
  }
  const block = (): readonly KdlNode[] => {
    take('{')
    const found = nodes()
    take('}')
    return found
  }
  return nodes()
}

const isWord = (kind: LexemeKind | undefined): boolean => kind === 'bare' || kind === 'string'

const isScalar = (kind: LexemeKind | undefined): boolean => isWord(kind) || kind === 'number' || kind === 'keyword'

/** KDL keeps the last value of a property only. */
const keepLast = (properties: readonly Property[]): readonly Property[] => {
  const last = new Map(properties.map((property) => [property.key, property]))
  return properties.map((property) => (last.get(property.key) === property ? property : {key: property.key, span: property.span}))
}

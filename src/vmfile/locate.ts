import type {Document, Node} from 'kdljs'

import type {Lexeme, LexemeKind} from './lexemes.ts'
import type {Span} from './report.ts'
import type {KdlNode, Property, Value} from './tree.ts'

/**
 * Gives every part of a parsed document its place: kdljs has the values but no locations, the lexemes have the places.
 * Both describe the same text, so they are walked in step; the grammar needs no checks, because the parser made them.
 * @param decodeString the text of one string
 */
export const locate = (document: Document, lexemes: readonly Lexeme[], decodeString: (lexeme: Lexeme) => string): readonly KdlNode[] => {
  let at = 0
  const kind = (): LexemeKind | undefined => lexemes[at]?.kind
  const take = (): Span => {
    const lexeme = lexemes[at++]
    if (!lexeme) throw new Error('The tokens of kdljs do not match its document.')
    return {start: lexeme.start, end: lexeme.end}
  }
  const skipEnds = (): void => {
    while (kind() === 'end') at++
  }
  const annotation = (): {annotation?: Span} => {
    if (kind() !== '(') return {}
    const {start} = take()
    take()
    return {annotation: {start, end: take().end}}
  }

  const nodes = (parsed: Document): readonly KdlNode[] => {
    const found: KdlNode[] = []
    for (skipEnds(); kind() !== undefined && kind() !== '}'; skipEnds()) {
      if (kind() === '/-') {
        at++
        skipEnds()
        node(undefined)
      } else {
        found.push(node(parsed[found.length]))
      }
    }
    return found
  }

  /** Without `parsed` the node is commented out by `/-`: only its extent matters. */
  const node = (parsed: Node | undefined): KdlNode => {
    const note = annotation()
    const span = take()
    const args: Value[] = []
    const properties: Property[] = []
    let children: readonly KdlNode[] | undefined
    while (kind() !== undefined && kind() !== 'end' && kind() !== '}') {
      const isOff = kind() === '/-'
      if (isOff) {
        at++
        skipEnds()
      }
      if (kind() === '{') {
        at++
        const block = nodes(isOff ? [] : (parsed?.children ?? []))
        at++
        if (!isOff) children = block
      } else if (lexemes[at + 1]?.kind === '=') {
        const entry = property(parsed)
        if (!isOff) properties.push(entry)
      } else {
        const entry = {...annotation(), ...take(), value: parsed?.values[args.length] ?? null}
        if (!isOff) args.push(entry)
      }
    }
    return {name: parsed?.name ?? '', span, ...note, args, properties: keepLast(properties), ...(children ? {children} : {})}
  }

  const property = (parsed: Node | undefined): Property => {
    const lexeme = lexemes[at]
    const span = take()
    const key = lexeme?.kind === 'bare' ? (lexeme.tokens[0]?.image ?? '') : lexeme && parsed ? decodeString(lexeme) : ''
    at++
    const note = annotation()
    const values = parsed?.properties ?? {}
    const given = lexemes[at]
    // kdljs loses the property `__proto__`, which may be the name of an environment variable.
    const isLost = parsed && !Object.hasOwn(values, key) && (given?.kind === 'bare' || given?.kind === 'string')
    const value = isLost ? decodeString(given) : Object.hasOwn(values, key) ? (values[key] ?? null) : null
    return {key, span, value: {...note, ...take(), value}}
  }

  return nodes(document)
}

const keepLast = (properties: readonly Property[]): readonly Property[] => {
  const last = new Map(properties.map((property) => [property.key, property]))
  return properties.map((property) => (last.get(property.key) === property ? property : {key: property.key, span: property.span}))
}

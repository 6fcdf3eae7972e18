import {type Fault, fault} from './fault.ts'
import type {Lexeme} from './lexemes.ts'
import {reserved} from './nodes.ts'

/**
 * Says in words what the parser stumbled over.
 * @param offset where the parser stopped; it may be a blank before the lexeme that is wrong
 */
export const explainSyntax = (lexemes: readonly Lexeme[], text: string, offset: number): Fault => {
  const around = lexemes.find(({kind, start, end}) => kind === 'string' && start < offset && offset < end)
  if (around) {
    return fault(
      around.start,
      around.start + 3,
      'a line of this text is indented less than the closing """',
      'indent every line at least as much as the closing """, with the same tabs and spaces',
    )
  }
  const found = lexemes.findIndex(({start}) => start >= offset)
  const index = found === -1 ? lexemes.length : found
  const lexeme = lexemes[index]
  const previous = lexemes[index - 1]
  const slashdash = lexemes.slice(0, index).findLast(({kind}) => kind !== 'end')
  const nothing = lexeme?.kind === '/-' ? lexeme : slashdash
  if (nothing?.kind === '/-' && lexeme?.kind !== 'bare') {
    return fault(nothing.start, nothing.end, '/- comments out nothing', 'remove it, or put it before a node or a value')
  }
  const near = lexemes.slice(Math.max(0, index - 2), index)
  const open = near.findLast(({kind}) => kind === '(' || kind === ')')
  if (open?.kind === '(') return fault(open.start, open.end, 'unexpected (', 'a value with parentheses in it needs quotes')
  if (!lexeme) {
    const last = previous ?? {start: 0, end: 1}
    return fault(last.start, last.end, 'something is missing after this', 'complete the line')
  }
  const image = shorten(text.slice(lexeme.start, lexeme.end))
  const at = (message: string, hint: string): Fault => fault(lexeme.start, lexeme.end, message, hint)
  const startsLine = !previous || previous.kind === 'end' || previous.kind === '{'
  switch (lexeme.kind) {
    case '=':
      return explainEquals(lexemes, text, index)
    case '{':
      return startsLine
        ? at('this { belongs to no node', 'put it on the line of its node: vm "name" {')
        : at('a node has one block only', 'put everything into the first block')
    case 'number':
    case 'keyword':
      if (startsLine) return at(`${image} is not the name of a node`, 'a line starts with a name, such as vcpus 2')
      break
    case 'bare':
      if (reserved.test(image)) return explainReserved(lexeme, image)
      break
    case 'string':
      if (previous?.end === lexeme.start && text.slice(previous.start, previous.end) === 'r') {
        return fault(previous.start, previous.end, 'this is a raw string of KDL 1', 'leave out the r, as in KDL 2')
      }
      break
    case '(':
    case ')':
      return at(`unexpected ${image}`, 'a value with parentheses in it needs quotes')
    case 'end':
      return text[lexeme.start] === ';' ? at('unexpected ;', 'remove it') : at('the line ends too early', 'complete what comes before')
  }
  if (previous?.kind === '}') {
    return at('a new node needs a line of its own', `start a new line before ${image}, or write ; before it`)
  }
  return at(`unexpected ${image}`, 'separate values with a space, and nodes with a new line or ;')
}

/** The beginning of a token, in one line. */
const shorten = (image: string): string => {
  const line = image.split(/[\p{Cc}\u2028\u2029]/u, 1)[0] ?? ''
  return line !== image || line.length > 40 ? `${line.slice(0, 40)}…` : image
}

const explainReserved = ({start, end}: Lexeme, word: string): Fault =>
  /inf|nan/.test(word)
    ? fault(start, end, `${word} is a reserved word`, `write "${word}"`)
    : fault(start, end, `${word} is KDL 1`, `write #${word}, as in KDL 2`)

const explainEquals = (lexemes: readonly Lexeme[], text: string, index: number): Fault => {
  const equals = lexemes[index]
  const [before, key, value] = [lexemes[index - 2], lexemes[index - 1], lexemes[index + 1]]
  const place = equals ?? {start: 0, end: 1}
  const written = (lexeme: Lexeme | undefined): string => (lexeme ? shorten(text.slice(lexeme.start, lexeme.end)) : '')
  if (value?.kind === 'bare' && reserved.test(written(value))) return explainReserved(value, written(value))
  const keyStartsLine = !before || before.kind === 'end' || before.kind === '{'
  if (!value || value.kind === 'end' || value.kind === '}') {
    return fault(
      key?.start ?? place.start,
      place.end,
      `${written(key) || 'this property'} has no value`,
      'write the value directly after the =',
    )
  }
  if (keyStartsLine) {
    return fault(place.start, place.end, 'a node and its value are not joined by =', `write ${written(key)} ${written(value)}`)
  }
  return fault(place.start, place.end, 'unexpected =', 'a property is written name=value')
}

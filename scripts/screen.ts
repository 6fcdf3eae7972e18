/** A terminal without a screen: what a program wrote to a pty, as the lines that a person would see in the end. */

/** Text of one colour: the parameters of SGR that hold for it, `1;31` for bold red, in the order in which they were set. */
export interface Span {
  readonly text: string
  readonly style: string
}

interface Cell {
  readonly character: string
  readonly style: string
}

export interface Screen {
  write(text: string): void
  /** All lines from the first on, those that have scrolled away too. */
  rows(): readonly (readonly Span[])[]
  /** The same without colours, without blanks at the ends of lines, and as wide as they were written. */
  lines(): string[]
}

// oxlint-disable-next-line no-control-regex -- These are what a terminal is told by.
const piece = /\u001b\[(?<words>[?\d;]*)(?<verb>[A-Za-z])|\u001b\][^\u0007]*\u0007|\u001b[^[\]]|[^\u001b]/gu
// oxlint-disable-next-line no-control-regex
const unfinished = /\u001b(?:\[[?\d;]*|\][^\u0007]*)?$/u
const blank: Cell = {character: ' ', style: ''}

export const openScreen = (columns: number): Screen => {
  const rows: Cell[][] = [[]]
  /** The rows that go on in the next one because the terminal was too narrow. */
  const wrapped = new Set<number>()
  let [row, column, style, rest] = [0, 0, '', '']

  const line = (): Cell[] => (rows[row] ??= [])
  const newLine = (): void => {
    row++
    while (rows.length <= row) rows.push([])
  }
  const put = (character: string): void => {
    if (column === columns) {
      wrapped.add(row)
      newLine()
      column = 0
    }
    while (line().length < column) line().push(blank)
    line()[column++] = {character, style}
  }
  const character = (text: string): void => {
    if (text === '\r') column = 0
    else if (text === '\n') newLine()
    else if (text === '\b') column = Math.max(0, column - 1)
    else if (text >= ' ') put(text)
  }
  const erase = (how: string): void => {
    if (how === '2') line().length = 0
    else if (how === '1') line().splice(0, column, ...Array.from({length: column}, () => blank))
    else line().splice(column)
    if (column < columns) wrapped.delete(row)
  }
  const control: Readonly<Record<string, (words: string) => void>> = {
    A: (words) => (row = Math.max(0, row - Number(words || 1))),
    B: (words) => (row = Math.min(rows.length - 1, row + Number(words || 1))),
    C: (words) => (column = Math.min(columns - 1, column + Number(words || 1))),
    D: (words) => (column = Math.max(0, column - Number(words || 1))),
    G: (words) => (column = Number(words || 1) - 1),
    K: erase,
    J: () => {
      erase('0')
      rows.splice(row + 1)
      for (const index of wrapped) if (index > row) wrapped.delete(index)
    },
    m: (words) => (style = withParameters(style, words)),
  }

  return {
    write(text) {
      const all = rest + text
      rest = unfinished.exec(all)?.[0] ?? ''
      for (const {0: whole, groups} of all.slice(0, all.length - rest.length).matchAll(piece)) {
        if (groups?.verb !== undefined) control[groups.verb]?.(groups.words ?? '')
        else if (whole.length <= 2 && !whole.startsWith('\u001b')) character(whole)
      }
    },
    rows: () => rows.map(spansOf),
    lines: () =>
      rows
        .map((cells, index) => `${cells.map(({character: text}) => text).join('')}${wrapped.has(index) ? '' : '\n'}`)
        .join('')
        .split('\n')
        .map((text) => text.trimEnd())
        .slice(0, -1),
  }
}

/** The words of SGR that end what the key says. */
const ends: Readonly<Record<string, RegExp>> = {
  '22': /^[12]$/,
  '23': /^3$/,
  '24': /^4$/,
  '27': /^7$/,
  '39': /^(?:3[0-7]|9[0-7])$/,
  '49': /^(?:4[0-7]|10[0-7])$/,
}

const withParameters = (style: string, words: string): string => {
  let now = style === '' ? [] : style.split(';')
  for (const word of (words || '0').split(';')) {
    const ended = ends[word]
    if (Number(word) === 0) now = []
    else if (ended) now = now.filter((one) => !ended.test(one))
    else now = [...now.filter((one) => !(isColour(word) && isColour(one))), word]
  }
  return now.join(';')
}

const isColour = (word: string): boolean => /^(?:3[0-7]|9[0-7])$/.test(word)

const spansOf = (cells: readonly Cell[]): Span[] => {
  const spans: {text: string; style: string}[] = []
  for (const {character, style} of cells) {
    const last = spans.at(-1)
    if (last?.style === style) last.text += character
    else spans.push({text: character, style})
  }
  return spans
}

import {cut, displayWidth, padTo, wrap} from './display-width.ts'
import {paint, type Screen, type Style} from './screen.ts'

export interface Column {
  readonly title: string
  readonly align?: 'right'
  /** Whether, and how early, the column is left out where the terminal is too narrow: 1 goes first. */
  readonly spare?: number
  /** What becomes of a long cell there: it goes on below, or loses its end, or its beginning. Otherwise the column keeps its width. */
  readonly long?: 'wrap' | 'cut' | 'cut-beginning'
  readonly style?: (cell: string) => Style | undefined
}

const gap = '  '

/** Narrower than this nobody can read a column that has been cut or wrapped. */
const leastWidth = 16

/**
 * Columns of text, two blanks apart, as wide as their widest cell; the last one is not padded. No line is longer than the
 * terminal: long cells are cut or wrapped there, and columns that can be spared are left out.
 * @param columns a title alone is one that stays; the last of these wraps
 */
export const table = (
  columns: readonly (Column | string)[],
  rows: readonly (readonly string[])[],
  screen: Screen = {colour: false},
): string => {
  const all = columns.map((column, index): Column =>
    typeof column !== 'string' ? column : {title: column, ...(index === columns.length - 1 && {long: 'wrap'})},
  )
  const natural = all.map(({title}, index) => Math.max(displayWidth(title), ...rows.map((row) => displayWidth(row[index] ?? ''))))
  const widths = fit(all, natural, screen.width)
  const shown = all.flatMap((column, index) => {
    const width = widths[index]
    return width === undefined ? [] : [{...column, index, width}]
  })
  const head = lineOf(
    shown.map(({title, ...column}) => ({...column, text: cut(title, column.width), style: 'dim' as const})),
    screen,
  )
  return [head, ...rows.flatMap((row) => linesOf(row, shown, screen))].join('\n')
}

interface Shown extends Column {
  readonly index: number
  readonly width: number
}

const linesOf = (row: readonly string[], shown: readonly Shown[], screen: Screen): readonly string[] => {
  const cells = shown.map((column) => {
    const text = row[column.index] ?? ''
    return {...column, style: column.style?.(text), pieces: piecesOf(text, column)}
  })
  const height = Math.max(...cells.map(({pieces}) => pieces.length))
  return Array.from({length: height}, (_, at) =>
    lineOf(
      cells.map(({pieces, ...cell}) => ({...cell, text: pieces[at] ?? ''})),
      screen,
    ),
  )
}

const piecesOf = (text: string, {long, width}: Shown): readonly string[] =>
  long === 'wrap' ? wrap(text, width) : [cut(text, width, long === 'cut-beginning' ? 'end' : 'beginning')]

interface Cell {
  readonly text: string
  readonly width: number
  readonly align?: 'right'
  readonly style: Style | undefined
}

const lineOf = (cells: readonly Cell[], screen: Screen): string => {
  const end = cells.findLastIndex(({text}) => text !== '')
  return cells
    .slice(0, end + 1)
    .map(({text, width, align, style}, index) => {
      const padded = padTo(text, index === end && align !== 'right' ? 0 : width, align)
      return padded.replace(text, () => paint(style, text, screen))
    })
    .join(gap)
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)

/** The width of each column; undefined for one that is left out. */
const fit = (columns: readonly Column[], natural: readonly number[], available = Infinity): readonly (number | undefined)[] => {
  const least = natural.map((width, index) => (columns[index]?.long === undefined ? width : Math.min(width, leastWidth)))
  let kept = columns.map((_, index) => index)
  const room = (): number => available - gap.length * (kept.length - 1) - sum(kept.map((index) => least[index] ?? 0))
  const spare = kept
    .filter((index) => columns[index]?.spare !== undefined)
    .toSorted((one, other) => (columns[one]?.spare ?? 0) - (columns[other]?.spare ?? 0))
  for (const index of spare) {
    if (room() >= 0) break
    kept = kept.filter((one) => one !== index)
  }
  let left = room()
  const widths = columns.map((_, index) => (kept.includes(index) ? least[index] : undefined))
  while (left < 0) {
    // Nothing more can be spared: the widest column gives way.
    const widest = kept.reduce((one, other) => ((widths[other] ?? 0) > (widths[one] ?? 0) ? other : one))
    if ((widths[widest] ?? 0) <= 1) break
    widths[widest] = (widths[widest] ?? 0) - 1
    left += 1
  }
  const missing = (index: number): number => (natural[index] ?? 0) - (least[index] ?? 0)
  // Those that lack least first: what they do not need is left for the others.
  const hungry = kept.filter((index) => missing(index) > 0).toSorted((one, other) => missing(one) - missing(other))
  for (const [at, index] of hungry.entries()) {
    const given = left <= 0 ? 0 : Math.min(missing(index), Math.floor(left / (hungry.length - at)))
    widths[index] = (widths[index] ?? 0) + given
    left -= given
  }
  return widths
}

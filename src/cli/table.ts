import {cut, displayWidth, padTo, wrap} from './display-width.ts'
import {paint, type Screen, screenOf, type Style} from './screen.ts'

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

/** A word of at most this width is not broken. */
const mostWidth = 40

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
  const needs = all.map((column, index) =>
    needOf(
      column,
      rows.map((row) => row[index] ?? ''),
    ),
  )
  const widths = fit(needs, screen.width)
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

/** The same on standard output, or a sentence where there is no row. */
export const listing = (columns: readonly Column[], rows: readonly (readonly string[])[], {empty}: {readonly empty: string}): string => {
  const screen = screenOf(process.stdout)
  return rows.length === 0 ? wrap(empty, screen.width ?? Infinity).join('\n') : table(columns, rows, screen)
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

/** What a column wants and what it can do with. */
interface Need {
  readonly natural: number
  readonly least: number
  readonly spare: number
  /** It says nothing, and goes before all others go or give way. */
  readonly isEmpty: boolean
}

const needOf = ({title, long, spare = Infinity}: Column, cells: readonly string[]): Need => {
  const natural = Math.max(displayWidth(title), ...cells.map(displayWidth))
  const longestWord = Math.max(...cells.flatMap((cell) => cell.split(' ')).map(displayWidth), 0)
  const least = long === 'wrap' ? Math.max(leastWidth, Math.min(longestWord, mostWidth)) : leastWidth
  const isEmpty = cells.every((cell) => cell === '-')
  return {natural, least: long === undefined ? natural : Math.min(natural, least), spare, isEmpty}
}

/** The width of each column; undefined for one that is left out. */
const fit = (needs: readonly Need[], available = Infinity): readonly (number | undefined)[] => {
  const all = needs.map((need, index) => ({...need, index}))
  const room = (columns: typeof all, what: 'natural' | 'least'): number =>
    available - gap.length * (columns.length - 1) - sum(columns.map((need) => need[what]))
  const mostWantedFirst = all
    .filter(({spare}) => spare !== Infinity)
    .toSorted((one, other) => Number(one.isEmpty) - Number(other.isEmpty) || other.spare - one.spare)
  const kept = mostWantedFirst.reduce(
    (columns, need) => (room([...columns, need], need.isEmpty ? 'natural' : 'least') < 0 ? columns : [...columns, need]),
    all.filter(({spare}) => spare === Infinity),
  )
  const widths = new Map(kept.map(({index, least}) => [index, least]))
  let left = room(kept, 'least')
  for (; left < 0; left++) {
    // Nothing more can be spared: the widest column gives way.
    const [index, width] = [...widths].reduce((one, other) => (other[1] > one[1] ? other : one))
    widths.set(index, Math.max(1, width - 1))
  }
  // Those that lack least first: what they do not need is left for the others.
  const hungry = kept.filter(({natural, least}) => natural > least).toSorted((one, other) => lackOf(one) - lackOf(other))
  for (const [at, need] of hungry.entries()) {
    const given = Math.min(lackOf(need), Math.floor(Math.max(0, left) / (hungry.length - at)))
    widths.set(need.index, (widths.get(need.index) ?? 0) + given)
    left -= given
  }
  return needs.map((_, index) => widths.get(index))
}

const lackOf = ({natural, least}: Need): number => natural - least

import type {Samples} from './measure.ts'

export type Goal = {readonly atMost: number} | {readonly atLeast: number}

/** One figure; an element of `rows` under `--json`. */
export interface Row {
  readonly what: string
  readonly referenceName: string
  readonly unit: 'ms' | 'MiB'
  /** Medians, in `unit`. */
  readonly ours: number
  readonly reference?: number
  /** A ratio, a difference in `unit`, or for `absolute` what `ours` says. */
  readonly kind: 'ratio' | 'difference' | 'absolute'
  readonly value: number
  /** Absent where figures.md names none: the figure helps to understand its neighbours. */
  readonly goal?: Goal
  readonly met?: boolean
  readonly samples: Samples
}

export interface Skipped {
  readonly what: string
  readonly skipped: string
}

export type Line = (Row | Skipped) & {readonly bench: string}

const amount = (value: number, unit: Row['unit']): string => {
  if (unit === 'MiB') return `${value.toFixed(0)} MiB`
  return Math.abs(value) >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(0)} ms`
}

const figure = ({kind, value, unit}: Row): string => {
  if (kind === 'ratio') return `× ${value.toPrecision(3)}`
  return `${kind === 'difference' && value >= 0 ? '+' : ''}${amount(value, unit)}`
}

const aim = ({goal, kind, unit}: Row): string => {
  if (!goal) return ''
  const [sign, value] = 'atMost' in goal ? ['≤', goal.atMost] : ['≥', goal.atLeast]
  if (kind === 'ratio') return `${sign} ${value}`
  return `${sign} ${kind === 'difference' ? '+' : ''}${amount(value, unit)}`
}

const verdict = ({met}: Row): string => (met === undefined ? '' : met ? 'yes' : 'NO')

const cells = (line: Line): string[] =>
  'skipped' in line
    ? [line.what, `skipped: ${line.skipped}`]
    : [
        line.what,
        amount(line.ours, line.unit),
        line.reference === undefined ? '' : `${amount(line.reference, line.unit)} (${line.referenceName})`,
        figure(line),
        aim(line),
        verdict(line),
      ]

/** The table, which is Markdown too. */
export const table = (lines: readonly Line[]): string => {
  const rows = [['what', 'ours', 'reference', 'ratio or difference', 'goal', 'met?'], ...lines.map(cells)]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const print = (row: readonly string[]): string => `| ${widths.map((width, column) => (row[column] ?? '').padEnd(width)).join(' | ')} |`
  const [head = [], ...rest] = rows
  return [print(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rest.map(print), ''].join('\n')
}

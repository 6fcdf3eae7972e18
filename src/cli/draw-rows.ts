import {styleText} from 'node:util'

import {formatDuration} from '../model/quantity.ts'
import {stripControls} from '../model/strip.ts'
import type {Mark, Row} from './rows.ts'
import {cut, fit, widthOf} from './width.ts'

export interface Canvas {
  readonly columns: number
  /** How many lines there may be. */
  readonly height: number
  /** Counts up, and turns the spinners. */
  readonly frame: number
  readonly colour: boolean
  /** Whether the terminal has more than the letters of its keyboard. */
  readonly isUnicode: boolean
}

type Style = Parameters<typeof styleText>[0]

/** Readable on light and on dark: no yellow, no white. */
const styles: Readonly<Record<Mark, Style>> = {waiting: 'dim', working: 'reset', done: 'green', failed: 'red'}

const marks = {
  unicode: {working: '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏', waiting: '·', done: '✔', failed: '✘'},
  ascii: {working: '-\\|/', waiting: '.', done: '+', failed: 'x'},
} as const

/** On wider terminals the time would stand too far from what it belongs to. */
const widest = 120

/** The guest's own words are left out where there is less room. */
const leastDetail = 12

/** One line for each VM; where there are more than lines, those first that are worked on or have failed, and the sum of the others. */
export const drawRows = (rows: readonly Row[], canvas: Canvas): readonly string[] => {
  const {shown, rest} = choose(rows, Math.max(1, canvas.height))
  const times = shown.map(timeOf)
  // The last column stays free: some terminals break the line there.
  const width = Math.max(0, Math.min(canvas.columns - 1, widest))
  const timeWidth = Math.max(0, ...times.map((time) => time.length))
  const nameWidth = Math.min(
    Math.max(0, ...shown.map(({name}) => widthOf(name))),
    Math.max(Math.floor(width / 3), 1),
    Math.max(0, width - timeWidth - 4),
  )
  const lines = shown.map((row, index) => {
    const time = times[index] ?? ''
    const isTimed = time !== '' && width >= timeWidth + 2
    const left = width - (isTimed ? time.length + 2 : 0)
    const body = keep(piecesOf(row, {canvas, nameWidth, bodyWidth: left - 2 - (nameWidth === 0 ? 0 : nameWidth + 2)}), left)
    const gap = ' '.repeat(Math.max(0, width - time.length - sum(body.map(({text}) => widthOf(text)))))
    return [...body, ...(isTimed ? [{text: `${gap}${time}`, style: 'dim' as const}] : [])]
  })
  return [...lines, ...(rest.length === 0 ? [] : [keep([{text: `… ${sumUp(rest)}`, style: 'dim'}], width)])].map((pieces) =>
    pieces.map((piece) => paint(piece, canvas)).join(''),
  )
}

/** Plain text in one look. It gets its colour last, so that no control sequence is ever cut. */
interface Piece {
  readonly text: string
  readonly style: Style
}

interface Layout {
  readonly canvas: Canvas
  readonly nameWidth: number
  readonly bodyWidth: number
}

const piecesOf = ({name, mark, ...row}: Row, {canvas, nameWidth, bodyWidth}: Layout): readonly Piece[] => {
  const text = cut(clean(row.text), bodyWidth)
  const left = bodyWidth - widthOf(text) - 2
  const detail = left >= leastDetail ? cut(clean(row.detail), left) : ''
  return [
    {text: markOf(mark, canvas), style: styles[mark]},
    {text: nameWidth === 0 ? ' ' : ` ${fit(name, nameWidth)}  `, style: 'reset'},
    {text, style: mark === 'waiting' ? 'dim' : 'reset'},
    {text: detail === '' ? '' : `  ${detail}`, style: 'dim'},
  ]
}

/** As much of the pieces as there is room for. */
const keep = (pieces: readonly Piece[], width: number): readonly Piece[] => {
  let left = width
  return pieces.map(({text, style}) => {
    const shown = cut(text, left)
    left -= widthOf(shown)
    return {text: shown, style}
  })
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)

const paint = ({text, style}: Piece, {colour}: Canvas): string =>
  colour && style !== 'reset' && text !== '' ? styleText(style, text, {validateStream: false}) : text

const markOf = (mark: Mark, {isUnicode, frame}: Canvas): string => {
  const set = isUnicode ? marks.unicode : marks.ascii
  return mark === 'working' ? (set.working[frame % set.working.length] ?? '') : set[mark]
}

/** Seconds while it runs, so that nothing flickers; exactly at the end. */
const timeOf = ({mark, elapsedMs}: Row): string => {
  if (elapsedMs === undefined) return ''
  const seconds = Math.floor(elapsedMs / 1000)
  return mark === 'working' && seconds < 10 ? `${seconds} s` : formatDuration(mark === 'working' ? seconds * 1000 : elapsedMs)
}

/** One line of text, whatever a guest or a file has said. */
const clean = (text: string): string => stripControls(text).replaceAll(/\s+/g, ' ').trim()

const order: readonly Mark[] = ['failed', 'working', 'waiting', 'done']

const choose = (rows: readonly Row[], height: number): {readonly shown: readonly Row[]; readonly rest: readonly Row[]} => {
  if (rows.length <= height) return {shown: rows, rest: []}
  const first = new Set(order.flatMap((mark) => rows.filter((row) => row.mark === mark)).slice(0, height - 1))
  return {shown: rows.filter((row) => first.has(row)), rest: rows.filter((row) => !first.has(row))}
}

const sums = {waiting: 'waiting', working: 'at work', failed: 'failed'} as const

/** `12 waiting, 8 up` */
const sumUp = (rows: readonly Row[]): string => {
  const ordered = order.flatMap((mark) => rows.filter((row) => row.mark === mark))
  const wordOf = ({mark, text}: Row): string => (mark === 'done' ? (clean(text).split(',')[0] ?? '') : sums[mark])
  return [...Map.groupBy(ordered, wordOf)].map(([word, group]) => `${group.length} ${word}`).join(', ')
}

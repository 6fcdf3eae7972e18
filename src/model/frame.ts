import {displayWidth} from './display-width.ts'
import type {Problem} from './errors.ts'

/** One line of a code frame; `label` is the line number, or what stands in its place. */
export interface FrameLine {
  readonly kind: 'place' | 'source' | 'caret' | 'hint'
  /** The left margin, without colour: ` 12 | `. */
  readonly margin: string
  readonly text: string
}

/** Columns of the source that are shown, where nobody knows how many there are. */
const usualWidth = 100
const tab = '    '

/**
 * Shows the place of a problem, without colours: the place, the line of the source, a caret line and the hint.
 * @param text the source; an empty one gives a frame without the line
 */
export const frame = (text: string, problem: Problem): string =>
  frameLines(text, problem)
    .map(({margin, text: line}) => `${margin}${line}`.trimEnd())
    .join('\n')

/**
 * The lines of `frame`, one by one, for a caller that colours them.
 * @param columns of the terminal: of a longer line the part around the problem is shown
 */
export const frameLines = (text: string, problem: Problem, columns?: number): readonly FrameLine[] => {
  const {file, line, column, length, hint} = problem
  const number = String(line)
  const margin = ' '.repeat(number.length)
  const source = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/, line)[line - 1]
  const lines: FrameLine[] = [{kind: 'place', margin: `${margin}--> `, text: `${escapeControls(file)}:${line}:${column}`}]
  if (source !== undefined && source !== '') {
    const room = columns === undefined ? usualWidth : Math.max(20, columns - margin.length - 6)
    const shown = cut(hidePasswords(source), {column, length}, room)
    lines.push({kind: 'source', margin: `${number} | `, text: shown.text})
    lines.push({kind: 'caret', margin: `${margin} | `, text: ' '.repeat(shown.indent) + '^'.repeat(shown.width)})
  }
  if (hint !== undefined) lines.push({kind: 'hint', margin: `${margin} = `, text: `help: ${escapeControls(hint)}`})
  return lines
}

interface Cut {
  readonly text: string
  /** Terminal cells before the caret, and below which carets go. */
  readonly indent: number
  readonly width: number
}

/** The part of a line around a column, as a terminal shows it. */
const cut = (source: string, {column, length}: Pick<Problem, 'column' | 'length'>, windowWidth: number): Cut => {
  // Splitting a megabyte to show a hundred characters of it would be slow; two code units are the most that one needs.
  const cells = Array.from(source.slice(0, (column + windowWidth) * 2), show)
  const target = Math.min(column - 1, cells.length)
  const isLong = cells.length > windowWidth
  const from = isLong ? Math.max(0, Math.min(target - Math.floor(windowWidth / 3), cells.length - windowWidth)) : 0
  const to = Math.min(cells.length, from + windowWidth)
  const before = from > 0 ? '…' : ''
  const after = to < cells.length || source.length > (column + windowWidth) * 2 ? '…' : ''
  const widthOf = (parts: readonly string[]): number => parts.reduce((sum, part) => sum + displayWidth(part), 0)
  return {
    text: before + cells.slice(from, to).join('') + after,
    indent: before.length + widthOf(cells.slice(from, target)),
    width: Math.max(1, widthOf(cells.slice(target, Math.min(to, target + length)))),
  }
}

/** Blanks of the same length instead of `user:password` in a URL. */
const hidePasswords = (source: string): string => source.replace(/(?<=:\/\/)[^\s"@/?#]+(?=@)/g, (secret) => '*'.repeat(secret.length))

// oxlint-disable-next-line no-control-regex
const controls = /[\0-\x1F\x7F-\x9F\u200B-\u200F\u2028-\u202E\u2066-\u2069\uFEFF\uD800-\uDFFF]/u

const show = (character: string): string => {
  if (character === '\t') return tab
  return controls.test(character) ? `<${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, '0')}>` : character
}

const escapeControls = (text: string): string => Array.from(text, show).join('')

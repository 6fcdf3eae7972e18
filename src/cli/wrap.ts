import {displayWidth} from '../model/display-width.ts'
import {beginning} from './width.ts'

/** Columns of the terminal; 80 where there is none. */
export const columnsOf = (stream: {readonly columns?: number}): number => Math.max(20, stream.columns || 80)

/**
 * Breaks a line at its blanks, never inside of backquotes. A word that is longer than the width stands on a line of its own, so that it
 * can be copied.
 * @param width columns
 */
export const wrap = (text: string, width: number): readonly string[] => {
  const lines: string[] = []
  let line = ''
  for (const word of text.match(/(?:`[^`]*`|\S)+/g) ?? []) {
    const longer = line === '' ? word : `${line} ${word}`
    if (line === '' || displayWidth(longer) <= width) line = longer
    else {
      lines.push(line)
      line = word
    }
  }
  return [...lines, line]
}

/** The same for a cell of a table, whose neighbours must stay where they are: a long word is broken too. */
export const wrapCell = (text: string, width: number): readonly string[] =>
  wrap(text, width).flatMap((line) => {
    const pieces: string[] = []
    let rest = line
    while (displayWidth(rest) > width) {
      const piece = beginning(rest, width) || rest.slice(0, 1)
      pieces.push(piece.trimEnd())
      rest = rest.slice(piece.length).trimStart()
    }
    return [...pieces, rest]
  })

/** With every line behind a margin; the first may have another one, such as `  web  `. */
export const wrapBehind = (
  text: string,
  width: number,
  {margin, first = margin}: {readonly margin: string; readonly first?: string},
): string =>
  wrap(text, Math.max(10, width - displayWidth(margin)))
    .map((line, at) => `${at === 0 ? first : margin}${line}`)
    .join('\n')

/** Text of several lines: those that are too long are broken, and what follows is indented by two more than the line. */
export const wrapLines = (text: string, width: number): string =>
  text
    .split('\n')
    .map((line) => {
      if (displayWidth(line) <= width) return line
      const first = /^ */.exec(line)?.[0] ?? ''
      return wrapBehind(line, width, {margin: `${first}  `, first})
    })
    .join('\n')

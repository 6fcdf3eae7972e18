import stringWidth from 'string-width'

/** Text of these, which are nearly all that vmctl draws, takes as many columns as it has characters. */
const plain = /^[\x20-\x7e…·✔✘\u2800-\u28ff]*$/

/** How many columns of a terminal a text without control characters takes. */
export const widthOf = (text: string): number => (plain.test(text) ? text.length : stringWidth(text))

const graphemes = new Intl.Segmenter(undefined, {granularity: 'grapheme'})

/** The text if it fits, else as much of it as does, with `…` for the rest. */
export const cut = (text: string, width: number): string => {
  if (widthOf(text) <= width) return text
  if (width <= 0) return ''
  if (plain.test(text)) return `${text.slice(0, width - 1)}…`
  let shown = ''
  let room = width - 1
  for (const {segment} of graphemes.segment(text)) {
    room -= widthOf(segment)
    if (room < 0) break
    shown += segment
  }
  return `${shown}…`
}

/** Exactly as many columns: cut, or filled with blanks. */
export const fit = (text: string, width: number): string => {
  const shown = cut(text, width)
  return shown + ' '.repeat(Math.max(0, width - widthOf(shown)))
}

/** Breaks lines that are too long at spaces, and nowhere else; what follows is indented by two blanks. */
export const wrap = (text: string, width: number): string =>
  text
    .split('\n')
    .map((line) => (widthOf(line) <= width ? line : wrapLine(line, width)))
    .join('\n')

const wrapLine = (line: string, width: number): string => {
  const lines: string[] = []
  let current = ''
  for (const word of line.split(' ')) {
    const longer = current === '' ? word : `${current} ${word}`
    if (current.trim() === '' || widthOf(longer) <= width) current = longer
    else {
      lines.push(current)
      current = `  ${word}`
    }
  }
  return [...lines, current].join('\n')
}

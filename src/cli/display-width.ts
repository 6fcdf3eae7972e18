/** What takes two cells of a terminal: East Asian characters in their full width, and emoji. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u

/** What takes none: marks on the character before, and what only joins or formats. */
const isNothing = /^[\p{Mn}\p{Me}\p{Cf}]+$/u

const ascii = /^[\x20-\x7e]*$/

const segmenter = new Intl.Segmenter()

const widthOfOne = (character: string): number => (wide.test(character) ? 2 : isNothing.test(character) ? 0 : 1)

/** Cells that a line takes on a terminal; it has no control characters. */
export const displayWidth = (text: string): number => {
  if (ascii.test(text)) return text.length
  let width = 0
  for (const {segment} of segmenter.segment(text)) width += widthOfOne(segment)
  return width
}

/** As many characters from the beginning as fit. */
const beginning = (text: string, width: number): string => {
  let taken = ''
  let used = 0
  for (const {segment} of segmenter.segment(text)) {
    used += widthOfOne(segment)
    if (used > width) break
    taken += segment
  }
  return taken
}

/** The text, or what fits of it: its beginning with `…` behind, or its end with `…` in front. */
export const cut = (text: string, width: number, keep: 'beginning' | 'end' = 'beginning'): string => {
  if (displayWidth(text) <= width) return text
  if (width < 1) return ''
  if (keep === 'beginning') return `${beginning(text, width - 1).trimEnd()}…`
  const backwards = [...segmenter.segment(text)].map(({segment}) => segment).toReversed()
  let used = 0
  const count = backwards.findIndex((segment) => (used += widthOfOne(segment)) > width - 1)
  return `…${backwards.slice(0, count).toReversed().join('')}`
}

/** Lines of at most this width, broken at blanks, and inside of words that are longer than a line. */
export const wrap = (text: string, width: number): readonly string[] => {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`
    if (displayWidth(longer) <= width) {
      line = longer
      continue
    }
    if (line !== '') lines.push(line)
    line = word
    while (displayWidth(line) > width) {
      const piece = beginning(line, width) || line.slice(0, 1)
      lines.push(piece)
      line = line.slice(piece.length)
    }
  }
  return line === '' && lines.length > 0 ? lines : [...lines, line]
}

export const padTo = (text: string, width: number, align: 'left' | 'right' = 'left'): string => {
  const blanks = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return align === 'right' ? blanks + text : text + blanks
}

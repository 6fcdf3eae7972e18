import {charactersOf, displayWidth} from '../model/display-width.ts'

/** As many characters from the beginning as fit. */
export const beginning = (text: string, width: number): string => {
  let taken = ''
  let used = 0
  for (const character of charactersOf(text)) {
    used += displayWidth(character)
    if (used > width) break
    taken += character
  }
  return taken
}

/** The text, or what fits of it: its beginning with `…` behind, or its end with `…` in front. */
export const cut = (text: string, width: number, keep: 'beginning' | 'end' = 'beginning'): string => {
  if (displayWidth(text) <= width) return text
  if (width < 1) return ''
  if (keep === 'beginning') return `${beginning(text, width - 1).trimEnd()}…`
  const backwards = charactersOf(text).toReversed()
  let used = 0
  const count = backwards.findIndex((character) => (used += displayWidth(character)) > width - 1)
  return `…${backwards.slice(0, count).toReversed().join('')}`
}

/** Filled up with blanks. */
export const padTo = (text: string, width: number, align: 'left' | 'right' = 'left'): string => {
  const blanks = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return align === 'right' ? blanks + text : text + blanks
}

/** Exactly as many columns: cut, or filled up. */
export const fit = (text: string, width: number): string => padTo(cut(text, width), width)

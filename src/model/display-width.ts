/** What takes two columns of a terminal: East Asian characters in their full width, and emoji. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{16fe0}-\u{18cff}\u{1aff0}-\u{1b2ff}\u{1d300}-\u{1d376}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u

/** What takes none: marks on the character before, and what only joins or formats. */
const isNothing = /^[\p{Mn}\p{Me}\p{Cf}]+$/u

/** Text of these, which are nearly all that vmctl draws, takes as many columns as it has characters. */
const plain = /^[\x20-\x7e…·✔✘\u2800-\u28ff]*$/

/** Made when it is first needed: nearly all text is plain, and making one takes milliseconds. */
let segmenter: Intl.Segmenter | undefined

/** What a terminal shows as one. */
export const charactersOf = (text: string): readonly string[] =>
  [...(segmenter ??= new Intl.Segmenter()).segment(text)].map(({segment}) => segment)

const widthOfOne = (character: string): number => (wide.test(character) ? 2 : isNothing.test(character) ? 0 : 1)

/** Columns that a line takes on a terminal; it has no control characters. */
export const displayWidth = (text: string): number => {
  if (plain.test(text)) return text.length
  return charactersOf(text).reduce((width, character) => width + widthOfOne(character), 0)
}

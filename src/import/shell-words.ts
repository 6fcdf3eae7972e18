/**
 * Splits a line as a POSIX shell does (Shell Command Language 2.2, 2.3): at blanks, with quotes and backslashes. Undefined when a
 * shell would do more: variables, commands, patterns, or a quote that is never closed.
 */
export const splitShellWords = (line: string): readonly string[] | undefined => {
  const words: string[] = []
  let word: string | undefined
  for (const [piece] of line.matchAll(/\\[^]?|'[^']*'|"(?:\\[^]|[^"\\])*"|\s+|[^]/g)) {
    if (/^\s/.test(piece)) {
      if (word !== undefined) words.push(word)
      word = undefined
      continue
    }
    const value = valueOf(piece)
    if (value === undefined) return undefined
    word = (word ?? '') + value
  }
  return word === undefined ? words : [...words, word]
}

const valueOf = (piece: string): string | undefined => {
  if (piece.startsWith("'")) return piece.length > 1 ? piece.slice(1, -1) : undefined
  if (piece.startsWith('\\')) return piece.slice(1)
  if (!piece.startsWith('"')) return /[$`*?[\]|&;<>()~#!{}]/.test(piece) ? undefined : piece
  const inner = piece.slice(1, -1)
  if (piece.length < 2 || /(?:^|[^\\])[$`]/.test(inner)) return undefined
  return inner.replaceAll(/\\([$`"\\\n])/g, (_all, character: string) => (character === '\n' ? '' : character))
}

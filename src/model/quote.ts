/**
 * Quotes one word for a POSIX shell (Shell Command Language 2.2.2, single quotes): nothing in it is special to the shell.
 * NUL cannot occur in an argument of any program, so it is an error.
 */
export const quote = (word: string): string => {
  if (word.includes('\0')) throw new RangeError('A shell word cannot contain a NUL character.')
  return `'${word.replaceAll("'", String.raw`'\''`)}'`
}

/** One word as a person types it: with quotes only where it needs them. */
export const asTyped = (word: string): string => (/^[\w./:@%+,-]+$/.test(word) && !word.startsWith('-') ? word : quote(word))

/** A command line of quoted words: `quoteAll(['ls', '-l', 'my file'])`. */
export const quoteAll = (words: readonly string[]): string => words.map(quote).join(' ')

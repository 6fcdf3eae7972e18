/** The words of templates: `{tag}`, `{arch}`, those of a release, and what was found on the way. */
export type Words = Readonly<Record<string, string>>

/** Fills `{word}` in a path. A word that is not known stays, and makes a path that nobody has. */
export const fill = (template: string, words: Words): string =>
  template.replaceAll(/\{([a-z]+)\}/g, (whole, word: string) => words[word] ?? whole)

/** The same in a regular expression, where the words mean themselves. */
export const fillPattern = (template: string, words: Words, flags = ''): RegExp =>
  new RegExp(
    template.replaceAll(/\{([a-z]+)\}/g, (whole, word: string) => words[word]?.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`) ?? whole),
    flags,
  )

/** The newest of the places where a pattern fits, as its named groups: numbers in it count as numbers. */
export const newestMatch = (text: string, pattern: string, words: Words): Words | undefined => {
  const matches = [...text.matchAll(fillPattern(pattern, words, 'g'))]
  const newest = matches.toSorted((left, right) => left[0].localeCompare(right[0], 'en', {numeric: true})).at(-1)
  return newest && {...newest.groups}
}

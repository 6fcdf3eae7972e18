/** Columns of the terminal; 80 where there is none. */
export const columnsOf = (stream: {readonly columns?: number}): number => Math.max(20, stream.columns || 80)

/**
 * Breaks text into lines at its blanks, never inside of backquotes. A word that is longer than the width stands on a line of its own.
 * @param width columns
 */
export const wrap = (text: string, width: number): string[] => {
  const lines: string[] = []
  let line = ''
  for (const word of text.match(/(?:`[^`]*`|\S)+/g) ?? []) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line += `${line === '' ? '' : ' '}${word}`
  }
  return [...lines, line]
}

/** The same, with every line behind a margin; the first may have another one, such as `  web  `. */
export const wrapBehind = (
  text: string,
  width: number,
  {margin, first = margin}: {readonly margin: string; readonly first?: string},
): string =>
  wrap(text, Math.max(10, width - margin.length))
    .map((line, at) => `${at === 0 ? first : margin}${line}`)
    .join('\n')

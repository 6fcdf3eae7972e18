/** Between which quotes a place of a shell program is; none is empty. */
type Quote = '' | "'" | '"'

/**
 * A shell program without what only its readers need: comments, empty lines, indentation, and declarations of variables. What is
 * between quotes stays as it is, for it may be an awk program or a text with line breaks. A comment has a line of its own.
 */
export const stripProgram = (program: string): string => {
  const lines: string[] = []
  let quote: Quote = ''
  for (const line of program.split('\n')) {
    const bare = quote === '' ? line.trimStart() : line
    if (quote === '' && (bare === '' || bare.startsWith('#') || /^: "\$\{\w+\?.*\}"$/.test(bare))) continue
    if (/<<-?\s*\S/.test(bare)) throw new Error(`A program for guests has no here-documents: ${line}`)
    lines.push(bare)
    quote = quoteAfter(bare, quote)
  }
  if (quote !== '') throw new Error('A quote is left open.')
  return lines.join('\n')
}

const quoteAfter = (line: string, before: Quote): Quote => {
  let quote = before
  for (let at = 0; at < line.length; at++) {
    const character = line[at] ?? ''
    if (quote === '' && (character === '"' || character === "'")) quote = character
    else if (character === quote) quote = ''
    else if (character === '\\' && quote !== "'") at++
  }
  return quote
}

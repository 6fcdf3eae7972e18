import type {Lexeme} from './lexemes.ts'

/**
 * Which block of a text is open although others end where it should: of braces alone that is the outermost, but a `}` that stands
 * further left than the line of the block that it closes was meant for another one.
 * @returns the offset of its `{`; undefined when all blocks are closed
 */
export const openBlock = (text: string, lexemes: readonly Lexeme[]): number | undefined => {
  const open: {readonly start: number; readonly indent: number}[] = []
  let suspect: number | undefined
  let indent = 0
  let lineStart: number | undefined = 0
  for (const {kind, start, end} of lexemes) {
    if (kind === 'end') {
      if (text[start] !== ';') lineStart = end
      continue
    }
    const beginsLine = lineStart !== undefined
    if (lineStart !== undefined) indent = start - lineStart
    lineStart = undefined
    if (kind === '{') open.push({start, indent})
    if (kind !== '}') continue
    const closed = open.pop()
    if (closed && beginsLine && indent < closed.indent) suspect ??= closed.start
  }
  return open.length === 0 ? undefined : (suspect ?? open.at(-1)?.start)
}

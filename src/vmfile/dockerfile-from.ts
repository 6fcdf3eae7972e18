/** What FROM says, or why there is no single image. Lines count from 1. */
export type From =
  | {readonly image: string; readonly line: number}
  | {readonly problem: string; readonly hint: string; readonly line: number}

interface Instruction {
  readonly word: string
  readonly rest: string
  readonly line: number
}

/**
 * Reads the image of a Dockerfile: its one FROM, with the variables of the ARG instructions before it
 * (Dockerfile reference, "FROM", "Understand how ARG and FROM interact", "Environment replacement").
 */
export const readFrom = (text: string, buildArgs: Readonly<Record<string, string>>): From => {
  const variables = new Map<string, string>()
  let found: {readonly image: string; readonly line: number} | undefined
  for (const {word, rest, line} of instructionsOf(text)) {
    if (word === 'ARG' && !found) {
      declare(rest, buildArgs, variables)
    } else if (word === 'FROM') {
      if (found) return {problem: 'a second FROM', hint: 'a VM is made from one image; keep one FROM', line}
      const image = substitute(unquote(rest.replace(/^(?:--\S+\s+)*/, '').split(/\s/)[0] ?? ''), variables)
      if (image === '') return {problem: 'FROM names no image', hint: 'write FROM debian:12, or give ARG a value by build-arg', line}
      if (image === 'scratch') return {problem: 'a VM cannot be made from scratch', hint: 'write FROM debian:12', line}
      found = {image, line}
    } else if (!found && word !== 'ARG') {
      return {problem: `${word.slice(0, 30)} stands before FROM`, hint: 'a Dockerfile begins with FROM', line}
    }
  }
  return found ?? {problem: 'there is no FROM', hint: 'a Dockerfile begins with FROM, or the VM names its image', line: 1}
}

const declare = (text: string, buildArgs: Readonly<Record<string, string>>, variables: Map<string, string>): void => {
  for (const [, name = '', value] of text.matchAll(/(\w+)(?:=("[^"]*"|'[^']*'|\S*))?/g)) {
    const given = Object.hasOwn(buildArgs, name) ? buildArgs[name] : undefined
    const chosen = given ?? (value === undefined ? undefined : substitute(unquote(value), variables))
    if (chosen !== undefined) variables.set(name, chosen)
  }
}

/** The instructions with their continuation lines joined; comments, also those between such lines, are left out. */
function* instructionsOf(text: string): Generator<Instruction> {
  const escape = /^\s*#\s*escape\s*=\s*`/i.test(text) ? '`' : '\\'
  let joined = ''
  let start = 0
  for (const [index, raw] of text.split(/\r\n|\n/).entries()) {
    if (/^\s*(?:#|$)/.test(raw)) continue
    if (joined === '') start = index + 1
    const line = raw.trimEnd()
    if (line.endsWith(escape)) {
      joined += `${line.slice(0, -1)} `
      continue
    }
    const [word = '', ...rest] = (joined + line).trim().split(/\s+/)
    joined = ''
    yield {word: word.toUpperCase(), rest: rest.join(' '), line: start}
  }
}

const unquote = (text: string): string => text.replace(/^(["'])(.*)\1$/, '$2')

/** `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}`. */
const substitute = (text: string, variables: ReadonlyMap<string, string>): string =>
  text.replaceAll(/\$(?:(?<bare>\w+)|\{(?<braced>\w+)(?::(?<operator>[-+])(?<other>[^}]*))?\})/g, (...match: readonly unknown[]) => {
    const {bare, braced, operator, other = ''} = match.at(-1) as Readonly<Record<string, string | undefined>>
    const value = variables.get(bare ?? braced ?? '') ?? ''
    if (operator === '+') return value === '' ? '' : other
    return value === '' && operator === '-' ? other : value
  })

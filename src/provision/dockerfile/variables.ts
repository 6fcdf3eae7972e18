import {messageOf} from '../../model/errors.ts'
import {type Dockerfile, DockerfileError, type Instruction} from './parse.ts'
import {type Escape, expandWord, type Lookup, splitWords} from './words.ts'

/** Replaces the variables of one word of an instruction. */
export type Expand = (word: string) => string

/** `expandWord` for the words of one instruction; what is wrong with a word is told with the line. */
export const expander =
  ({line}: Instruction, lookup: Lookup, escape: Escape): Expand =>
  (word) => {
    try {
      return expandWord(word, lookup, escape)
    } catch (error) {
      throw new DockerfileError(line, messageOf(error))
    }
  }

/** `NAME=value NAME`: the variables of ENV and ARG. */
export const assignments = (
  {keyword, line, text}: Instruction,
  expand: Expand,
  escape: Escape,
): readonly (readonly [name: string, value: string | undefined])[] =>
  splitWords(text, escape).map((word) => {
    const [, name, value] = /^([A-Za-z_]\w*)(?:=(.*))?$/s.exec(word) ?? []
    if (name === undefined) throw new DockerfileError(line, `${keyword} cannot set ${word}`)
    return [name, value === undefined ? undefined : expand(value)]
  })

/** All values of one ENV see the variables as they were before it. `ENV NAME the rest of the line` is the old form. */
export const environment = (instruction: Instruction, expand: Expand, escape: Escape): readonly (readonly [string, string])[] => {
  const [, name, rest] = /^([A-Za-z_]\w*)\s+(.*)$/s.exec(instruction.text) ?? []
  if (name !== undefined && rest !== undefined) return [[name, expand(rest)]]
  return assignments(instruction, expand, escape).map(([key, value]) => {
    if (value === undefined) throw new DockerfileError(instruction.line, `ENV ${key} has no value`)
    return [key, value]
  })
}

/** ARG before FROM: for FROM itself, and for an ARG behind it that gives no value of its own. */
export const globalArguments = ({instructions, escape}: Dockerfile, buildArgs: Readonly<Record<string, string>>): Map<string, string> => {
  const values = new Map<string, string>()
  for (const instruction of instructions) {
    if (instruction.keyword === 'FROM') break
    if (instruction.keyword !== 'ARG') continue
    const expand = expander(instruction, (name) => values.get(name), escape)
    for (const [name, value] of assignments(instruction, expand, escape)) {
      const given = buildArgs[name] ?? value
      if (given !== undefined) values.set(name, given)
    }
  }
  return values
}

/** The image of FROM. Throws a DockerfileError when there is none. */
export const baseImage = (dockerfile: Dockerfile, buildArgs: Readonly<Record<string, string>>): string => {
  const {instructions, escape} = dockerfile
  const from = instructions.find(({keyword}) => keyword === 'FROM')
  if (!from) throw new DockerfileError(1, 'a Dockerfile needs FROM')
  const early = instructions.find(({keyword, line}) => line < from.line && keyword !== 'ARG')
  if (early) throw new DockerfileError(early.line, `only ARG may stand before FROM, not ${early.keyword}`)
  const values = globalArguments(dockerfile, buildArgs)
  const [image] = splitWords(from.text, escape).map(expander(from, (name) => values.get(name), escape))
  if (image === undefined || image === '') throw new DockerfileError(from.line, 'FROM names no image')
  return image
}

import {quote} from './quote.ts'

/**
 * A program for the shell of a guest: a file `programs/*.sh` of a part, which the generated `index.ts` beside it holds as text.
 * `Name` are the variables that it wants, `Status` the exit statuses that mean something.
 */
export interface GuestProgram<Name extends string, Status extends string = never> {
  /** Without comments, indentation, and the declarations of its variables. */
  readonly text: string
  readonly variables: readonly Name[]
  readonly statuses: Readonly<Record<Status, number>>
}

/** What a variable may be given; true is `1`, false is empty. */
type Value = string | number | boolean

/** The text of a program that knows its variables. */
export const programText = <Name extends string>(
  {text, variables}: GuestProgram<Name, string>,
  ...[values]: [Name] extends [never] ? [] : [values: Readonly<Record<NoInfer<Name>, Value>>]
): string => {
  const given: Readonly<Partial<Record<string, Value>>> = values ?? {}
  return [...variables.map((name) => `${name}=${quote(wordOf(given[name] ?? ''))}`), text].join('\n')
}

const wordOf = (value: Value): string => (typeof value === 'boolean' ? (value ? '1' : '') : String(value))

/** The command line that runs a program whose standard input is for something else. */
export const shellCommand = (text: string): string => `sh -c ${quote(text)}`

/**
 * The command line that runs a program which comes by standard input: it may be long, and nothing of it is in a process list.
 * `eval`: a shell that reads its program from a pipe reads it byte by byte, and so would the programs that it starts.
 * @param name what the shell calls itself in its messages
 */
export const shellFromInput = (name = 'sh'): string => `sh -c 'eval "$(cat)"' ${name}`

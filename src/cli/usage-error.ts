import {isVmctlError, messageOf, VmctlError} from '../model/errors.ts'
import {closest} from '../model/names.ts'
import {foreignArguments, foreignCommands, foreignFlags} from './foreign-words.ts'
import {parserSentence} from './parser-words.ts'

/** A command as the command line knows it. */
export interface CommandShape {
  /** Its words, as in `image pull`. */
  readonly words: string
  readonly args: readonly string[]
  readonly flags: readonly string[]
  /** The words of all commands. */
  readonly known?: readonly string[]
  /** Commands that have a flag which this one has not, by their words. */
  readonly elsewhere?: (flag: string) => readonly string[]
}

/** Commands that end or remove something: a slip of the hand must not be led there. */
const destructive = /^(?:destroy|down|reload|stop|uninstall|(?:image|network|volume|plugins) (?:rm|remove|uninstall|unlink))$/

/** The same for flags. */
const destructiveFlags: ReadonlySet<string> = new Set(['destroy', 'volumes', 'remove-orphans', 'force', 'yes', 'adopt'])

/**
 * There is no command of this name: what vmctl calls it, or what was probably meant. Nothing is run.
 * @param topic what the word stands behind, as in `image foo`; empty for a word on its own
 * @param known the words of all commands
 */
export const unknownCommand = (asked: string, topic: string, known: readonly string[]): VmctlError => {
  const before = topic === '' ? '' : `${topic} `
  const siblings = known.filter((words) => words.startsWith(before)).map((words) => words.slice(before.length))
  const candidates = new Set(siblings.flatMap((words) => [words, words.split(' ')[0] ?? words]))
  return new VmctlError('vmctl::usage::unknown_command', `There is no command \`vmctl ${before}${asked}\`.`, {
    help:
      foreignCommands[`${before}${asked.toLowerCase()}`] ??
      probably(before, closest(asked, candidates)) ??
      `Run \`vmctl ${before}--help\` to see all commands.`,
  })
}

const probably = (before: string, found: string | undefined): string | undefined => {
  if (found === undefined) return undefined
  return destructive.test(`${before}${found}`)
    ? `Nothing was run. \`vmctl ${before}${found} --help\` says what that command does, and how it is written.`
    : `Did you mean \`vmctl ${before}${found}\`?`
}

/** There is no flag of this name: what vmctl has instead, or what was probably meant. Without words it stood before the command. */
export const unknownFlag = (flag: string, shape: CommandShape): VmctlError => {
  const [name = flag] = flag.split('=')
  const command = commandOf(shape)
  return new VmctlError('vmctl::usage::unknown_flag', `There is no flag ${name} of \`${command}\`.`, {
    help: flagAdvice(name, shape) ?? `Run \`${command} --help\` to see its flags.`,
  })
}

const commandOf = ({words}: CommandShape): string => (words === '' ? 'vmctl' : `vmctl ${words}`)

const flagAdvice = (name: string, shape: CommandShape): string | undefined => {
  const {words, flags, elsewhere} = shape
  const others = elsewhere?.(name) ?? []
  const own = foreignFlags[words === '' ? 'vmctl' : words]?.[name]
  if (own !== undefined) return own
  if (words === '' && others.length > 0) return `Flags of a command stand behind it: \`vmctl COMMAND ${name}\`.`
  const found = name.startsWith('--') ? closest(name.slice(2), flags) : undefined
  return meant(found, commandOf(shape)) ?? foreignFlags['']?.[name] ?? ofOthers(name, others)
}

const meant = (found: string | undefined, command: string): string | undefined => {
  if (found === undefined) return undefined
  return destructiveFlags.has(found)
    ? `Nothing was done. \`${command} --help\` says what --${found} does, and how it is written.`
    : `Did you mean --${found}?`
}

/** Where the flag belongs. */
const ofOthers = (name: string, others: readonly string[]): string | undefined =>
  others.length === 0 || others.length > 3 || destructiveFlags.has(name.slice(2))
    ? undefined
    : `It is a flag of ${others.map((other) => `\`vmctl ${other}\``).join(' and ')}.`

/** What the parser of oclif refused, in the words of vmctl. */
export const usageError = (error: unknown, shape: CommandShape): VmctlError => {
  if (isVmctlError(error)) return error
  const {words} = shape
  const usage = `Run \`vmctl ${words} --help\` to see what it accepts.`
  const list = (key: 'flags' | 'args'): readonly unknown[] => {
    const value: unknown = typeof error === 'object' && error !== null && key in error ? Reflect.get(error, key) : undefined
    return Array.isArray(value) ? value : []
  }
  const kind = error instanceof Error ? error.constructor.name : ''
  if (kind === 'NonExistentFlagsError') return unknownFlag(String(list('flags')[0]), shape)
  if (kind === 'UnexpectedArgsError') return tooMuch(list('args').map(String), shape)
  if (kind === 'RequiredArgsError') {
    const names = list('args').flatMap((arg) =>
      typeof arg === 'object' && arg !== null && 'name' in arg ? [String(arg.name).toUpperCase()] : [],
    )
    return new VmctlError('vmctl::usage::invalid', `\`vmctl ${words}\` needs ${names.join(' and ')}.`, {help: usage})
  }
  return new VmctlError('vmctl::usage::invalid', parserSentence(messageOf(error)), {
    cause: error instanceof Error ? error.cause : undefined,
    help: usage,
  })
}

/** Words that a command has no place for. One behind a command that has others below it was meant as one of those. */
const tooMuch = (extra: readonly string[], shape: CommandShape): VmctlError => {
  const {words, known = []} = shape
  if (known.some((other) => other.startsWith(`${words} `))) return unknownCommand(extra[0] ?? '', words, known)
  return new VmctlError('vmctl::usage::invalid', `\`vmctl ${words}\` ${capacity(shape)}; this is too much: ${extra.join(' ')}`, {
    help: foreignArguments[words] ?? `Run \`vmctl ${words} --help\` to see what it accepts.`,
  })
}

const capacity = ({args}: CommandShape): string =>
  args.length === 0 ? 'takes no arguments' : `takes ${args.map((name) => name.toUpperCase()).join(' and ')}`

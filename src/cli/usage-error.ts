import {stripVTControlCharacters} from 'node:util'

import {isVmctlError, messageOf, VmctlError} from '../model/errors.ts'
import {closest} from '../model/names.ts'
import {foreignArguments, foreignCommands, foreignFlags} from './foreign-words.ts'

/** A command as the command line knows it. */
export interface CommandShape {
  /** Its words, as in `image pull`. */
  readonly words: string
  readonly args: readonly string[]
  readonly flags: readonly string[]
}

/** Commands that end or remove something: a slip of the hand must not be led there. */
const destructive = /^(?:destroy|down|reload|stop|uninstall|(?:image|network|volume|plugins) (?:rm|remove|uninstall|unlink))$/

/**
 * There is no command of this name: what vmctl calls it, or what was probably meant. Nothing is run.
 * @param topic what the word stands behind, as in `image foo`; empty for a word on its own
 * @param known the words of all commands
 */
export const unknownCommand = (asked: string, topic: string, known: readonly string[]): VmctlError => {
  const before = topic === '' ? '' : `${topic} `
  const siblings = known.filter((words) => words.startsWith(before)).map((words) => words.slice(before.length))
  return new VmctlError('vmctl::usage::unknown_command', `There is no command \`vmctl ${before}${asked}\`.`, {
    help:
      (topic === '' ? foreignCommands[asked.toLowerCase()] : undefined) ??
      probably(before, closest(asked, siblings)) ??
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
export const unknownFlag = (flag: string, {words, flags}: CommandShape): VmctlError => {
  const [name = flag] = flag.split('=')
  const found = name.startsWith('--') ? closest(name.slice(2), flags) : undefined
  const command = words === '' ? 'vmctl' : `vmctl ${words}`
  return new VmctlError('vmctl::usage::unknown_flag', `There is no flag ${name} of \`${command}\`.`, {
    help:
      foreignFlags[words]?.[name] ??
      (found === undefined ? foreignFlags['']?.[name] : `Did you mean --${found}?`) ??
      `Run \`${command} --help\` to see its flags.`,
  })
}

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
  if (kind === 'UnexpectedArgsError') {
    const extra = list('args').map(String).join(' ')
    return new VmctlError('vmctl::usage::invalid', `\`vmctl ${words}\` ${capacity(shape)}; this is too much: ${extra}`, {
      help: foreignArguments[words] ?? usage,
    })
  }
  if (kind === 'RequiredArgsError') {
    const names = list('args').flatMap((arg) =>
      typeof arg === 'object' && arg !== null && 'name' in arg ? [String(arg.name).toUpperCase()] : [],
    )
    return new VmctlError('vmctl::usage::invalid', `\`vmctl ${words}\` needs ${names.join(' and ')}.`, {help: usage})
  }
  return new VmctlError('vmctl::usage::invalid', plain(messageOf(error)), {
    cause: error instanceof Error ? error.cause : undefined,
    help: usage,
  })
}

const capacity = ({args}: CommandShape): string =>
  args.length === 0 ? 'takes no arguments' : `takes ${args.map((name) => name.toUpperCase()).join(' and ')}`

/** A message of oclif as one paragraph: without its colours, its heading and its advice. */
const plain = (message: string): string =>
  stripVTControlCharacters(message)
    .replace(/\nSee more help with --help$/, '')
    .replace(/^The following errors? occurred:\s+/, '')
    .replace(/^Parsing (--\S+)\s+/, '$1: ')
    .replace(/^Missing required flag (\S+)$/, '--$1 is missing.')
    .replaceAll(/(--\S+)=true\b/g, '$1')
    .split(/\s*\n\s*/)
    .join('; ')

import {VmctlError} from '../model/errors.ts'
import {type FlagShapes, isProgramCommand, splitProgram} from './program-words.ts'
import {unknownCommand, unknownFlag} from './usage-error.ts'

/** What vmctl knows of its commands; the shape of oclif's `Config`. */
export interface Commands {
  readonly commandIDs: readonly string[]
  readonly topics: readonly {readonly name: string}[]
  findCommand(id: string): Command | undefined
}

interface Command {
  readonly id: string
  readonly flags: FlagShapes
  readonly hidden?: boolean
  readonly aliases?: readonly string[]
}

export type CommandLine =
  | {readonly kind: 'version'}
  /** Of a command, a topic, or of vmctl when there is no id. */
  | {readonly kind: 'help'; readonly id?: string}
  | {readonly kind: 'command'; readonly id: string; readonly argv: readonly string[]}

/** Flags of all commands that may stand before the command, and whether a value follows. */
const leading: ReadonlyMap<string, boolean> = new Map([
  ['--json', false],
  ['--debug', false],
  ['--state-dir', true],
  ['--file', true],
])

/** Those without a value, which say nothing about what is asked for. */
const switches: ReadonlySet<string> = new Set([...leading].flatMap(([flag, hasValue]) => (hasValue ? [] : [flag])))

const helpFlags = ['--help', '-h']

/**
 * Finds the command in the words of a command line. Flags of all commands may stand before it.
 * @throws VmctlError `vmctl::usage::…` for a command that does not exist
 */
export const readCommandLine = (words: readonly string[], commands: Commands): CommandLine => {
  if (words[0] === '--version' || words[0] === '-V') return {kind: 'version'}
  const {front, rest, asksHelp} = takeLeading(words, commands)
  if (rest[0] === 'help') return readCommandLine([...front, ...rest.slice(1), '--help'], commands)
  const {id, argv} = takeCommand(rest, commands)
  const command = id === undefined ? undefined : commands.findCommand(id)
  if (id === undefined || !command) return helpOrNothing(id, asksHelp ? undefined : argv.find((word) => !switches.has(word)), commands)
  return asksHelp || ownWords(argv, command).some(isHelp) ? {kind: 'help', id} : {kind: 'command', id, argv: [...front, ...argv]}
}

/** Words that lead to no command: a topic, or none, and perhaps a word that is unknown there. */
const helpOrNothing = (topic: string | undefined, word: string | undefined, {commandIDs}: Commands): CommandLine => {
  if (word === undefined || isHelp(word)) return topic === undefined ? {kind: 'help'} : {kind: 'help', id: topic}
  const words = spaced(topic ?? '')
  throw word.startsWith('-') ? unknownFlag(word, {words, args: [], flags: []}) : unknownCommand(word, words, commandIDs.map(spaced))
}

/** What stands before the words that are not for vmctl. */
const ownWords = (argv: readonly string[], {id, flags}: Command): readonly string[] => {
  if (isProgramCommand(id)) return splitProgram(argv, flags).own
  return argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv
}

const isHelp = (word: string): boolean => helpFlags.includes(word)

/** The words of a command. */
export const spaced = (id: string): string => id.replaceAll(':', ' ')

/** The commands that have a flag, by their words; other names of a command do not count. */
export const commandsWithFlag = (flag: string, commands: Pick<Commands, 'commandIDs' | 'findCommand'>): readonly string[] =>
  commands.commandIDs
    .filter((id) => {
      const {flags = {}, aliases = [], hidden} = commands.findCommand(id) ?? {}
      if (hidden || aliases.includes(id)) return false
      return flag.startsWith('--') ? flag.slice(2) in flags : Object.values(flags).some(({char}) => flag === `-${char}`)
    })
    .map(spaced)

/** Takes the flags of all commands that stand before one. */
export const takeLeading = (
  words: readonly string[],
  commands: Commands,
): {readonly front: string[]; readonly rest: readonly string[]; readonly asksHelp: boolean} => {
  const front: string[] = []
  let asksHelp = false
  let at = 0
  for (; words[at]?.startsWith('-'); at++) {
    // Before a command it is always the VMFile; a command may have another flag of that letter.
    const word = (words[at] ?? '').replace(/^-f(?==|$)/, '--file')
    const [name = ''] = word.split('=')
    if (isHelp(word)) asksHelp = true
    else if (!leading.has(name))
      throw unknownFlag(word, {
        words: '',
        args: [],
        flags: [...leading.keys(), '--help', '--version'].map((flag) => flag.slice(2)),
        elsewhere: (flag) => commandsWithFlag(flag, commands),
      })
    else if (!leading.get(name) || word !== name) front.push(word)
    else {
      const value = words[++at]
      if (value === undefined) throw new VmctlError('vmctl::usage::invalid', `${name} needs a value.`)
      front.push(word, value)
    }
  }
  return {front, rest: words.slice(at), asksHelp}
}

/** The longest beginning that names a command, else the longest that names a topic. */
export const takeCommand = (words: readonly string[], commands: Commands): {readonly id?: string; readonly argv: readonly string[]} => {
  const end = words.findIndex((word) => word.startsWith('-'))
  const most = end === -1 ? words.length : end
  const isTopic = (id: string): boolean => commands.topics.some(({name}) => name === id)
  for (const isKnown of [(id: string) => commands.findCommand(id) !== undefined, isTopic]) {
    for (let count = Math.min(most, 3); count > 0; count--) {
      const id = words.slice(0, count).join(':')
      if (isKnown(id)) return {id, argv: words.slice(count)}
    }
  }
  return {argv: words}
}

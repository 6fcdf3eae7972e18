import type {Command} from '@oclif/core/command'

import {isShown} from './help.ts'
import {isProgramCommand, splitProgram} from './program-words.ts'
import {type Commands, takeCommand, takeLeading} from './command-line.ts'
import {synopsisOfFlag, summaryOfFlag} from './usage-line.ts'

type Flag = Command.Flag.Cached

/** One word that may stand where the cursor is. */
export interface Candidate {
  readonly word: string
  /** What it is, for shells that show it. */
  readonly about?: string | undefined
}

/** What may stand where the cursor is. */
export interface Wanted {
  readonly words: readonly Candidate[]
  /** Names of things that only the engine knows. */
  readonly names?: 'vm' | 'volume' | 'network' | 'image' | 'cached-image' | 'home'
  /** Whether the name of a VM is the beginning of `VM:PATH`. */
  readonly isRemotePath?: boolean
  /** Paths of the host. */
  readonly files?: boolean
  /** `--file` as it was typed. */
  readonly file?: string | undefined
}

/** The shape of oclif's `Config`, as far as it matters here. */
export interface Completed extends Commands {
  readonly commands: readonly Command.Loadable[]
  readonly topics: readonly {readonly name: string; readonly description?: string | undefined}[]
  findCommand(id: string): Command.Loadable | undefined
}

const nothing: Wanted = {words: []}

/** @param typed the words behind `vmctl`; the last one, which may be empty, is the one to complete */
export const wantedAt = (typed: readonly string[], config: Completed): Wanted => {
  const current = typed.at(-1) ?? ''
  const before = typed.slice(0, -1)
  const rest = behindLeading(before, config)
  // The value of a flag that stands before the command is a path; another flag is none of vmctl.
  if (!rest) return ['--file', '-f', '--state-dir'].includes(before.at(-1) ?? '') ? {words: [], files: true} : nothing
  const asked = rest[0] === 'help' ? rest.slice(1) : rest
  const {id, argv} = takeCommand(asked, config)
  const command = id === undefined ? undefined : config.findCommand(id)
  const file = valueOf(before, ['--file', '-f'])
  if (!command) return argv.length > 0 ? nothing : {words: current.startsWith('-') ? leadingFlags : wordsBelow(id, config)}
  const below = argv.length === 0 ? wordsBelow(id, config) : []
  if (rest !== asked) return {words: below}
  const wanted = ofCommand(command, argv, current)
  return {...wanted, words: [...below, ...wanted.words], file}
}

const behindLeading = (words: readonly string[], config: Completed): readonly string[] | undefined => {
  try {
    return takeLeading(words, config).rest
  } catch {
    return undefined
  }
}

const leadingFlags: readonly Candidate[] = ['--json', '--debug', '--file', '--state-dir', '--help', '--version'].map((word) => ({word}))

/** The next word of the commands below a topic, or of all commands. */
const wordsBelow = (topic: string | undefined, {commands, topics}: Completed): readonly Candidate[] => {
  const before = topic === undefined ? '' : `${topic}:`
  const words = new Map<string, string | undefined>()
  for (const command of commands.filter(({id}) => id.startsWith(before)).filter(isShown)) {
    const [word = '', ...more] = command.id.slice(before.length).split(':')
    // A topic may be a command as well, which then says more of it.
    if (more.length === 0) words.set(word, command.summary)
    else if (!words.has(word)) words.set(word, topics.find(({name}) => name === `${before}${word}`)?.description)
  }
  return [...words].map(([word, about]) => ({word, about})).toSorted((a, b) => (a.word < b.word ? -1 : 1))
}

const ofCommand = (command: Command.Loadable, argv: readonly string[], current: string): Wanted => {
  const {id, flags} = command
  const shown = Object.values(flags).filter(({hidden}) => !hidden)
  const previous = argv.at(-1) ?? ''
  const taking = shown.find((flag) => flag.type === 'option' && (previous === `--${flag.name}` || previous === `-${flag.char}`))
  if (argv.includes('--')) return {words: [], files: true}
  if (taking) return valuesOf(taking)
  const {own, rest} = isProgramCommand(id) ? splitProgram(argv, flags) : {own: argv, rest: []}
  // The words of a program in the guest; its files are not here.
  if (isProgramCommand(id) && rest.length > 0) return nothing
  if (current.startsWith('-')) return {words: [...shown.map(flagWord), {word: '--help', about: 'Show help.'}]}
  return argumentAt(command, positionOf(own, flags))
}

const flagWord = (flag: Flag): Candidate => ({
  word: synopsisOfFlag(flag).replace(/^-., /, '').split(' ')[0] ?? '',
  about: summaryOfFlag(flag),
})

const valuesOf = (flag: Flag): Wanted => {
  if (flag.type === 'option' && flag.options) return {words: flag.options.map((word) => ({word}))}
  if (flag.name === 'name') return {words: [], names: 'vm'}
  if (flag.name === 'home') return {words: [], names: 'home'}
  if (flag.name === 'image') return {words: [], names: 'image', files: true}
  return {words: [], files: true}
}

/** How many arguments stand before the cursor. */
const positionOf = (argv: readonly string[], flags: Readonly<Record<string, Flag>>): number => {
  let count = 0
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? ''
    if (!word.startsWith('-')) count++
    else if (Object.values(flags).some((flag) => flag.type === 'option' && (word === `--${flag.name}` || word === `-${flag.char}`))) at++
  }
  return count
}

const things: Readonly<Record<string, Wanted>> = {
  name: {words: [], names: 'vm'},
  names: {words: [], names: 'vm'},
  volume: {words: [], names: 'volume'},
  network: {words: [], names: 'network'},
  home: {words: [], names: 'home'},
  source: {words: [], files: true},
  path: {words: [], files: true},
  plugin: {words: [], files: true},
}

const argumentAt = ({id, args}: Command.Loadable, position: number): Wanted => {
  const all = Object.values(args)
  const arg = all[position] ?? (all.at(-1)?.multiple ? all.at(-1) : undefined)
  if (!arg) return nothing
  if (arg.options) return {words: arg.options.map((word) => ({word}))}
  if (id === 'cp') return {words: [], names: 'vm', isRemotePath: true, files: true}
  if (arg.name === 'image')
    return {words: [], names: /:(?:rm|verify|push)$/.test(id) ? 'cached-image' : 'image', files: !id.endsWith(':rm')}
  // A new VM has a new name.
  return id === 'create' ? nothing : (things[arg.name] ?? nothing)
}

const valueOf = (words: readonly string[], flags: readonly string[]): string | undefined => {
  const at = words.findLastIndex((word) => flags.includes(word))
  return at === -1 ? undefined : words[at + 1]
}

/** Words with what they are, a line each, as shells read them; only those that begin as what is typed. */
export const candidateLines = (candidates: readonly Candidate[], current: string): readonly string[] =>
  candidates
    .filter(({word}) => word.startsWith(current))
    .map(({word, about = ''}) => (about === '' ? word : `${word}\t${about.replaceAll(/\s+/g, ' ')}`))

import {styleText} from 'node:util'

import type {Command} from '@oclif/core/command'

import {commandGroups} from './command-groups.ts'
import {spaced} from './command-line.ts'
import {factsOfFlag, summaryOfFlag, synopsisOfFlag, usageOf} from './usage-line.ts'
import {wrap, wrapBehind} from './wrap.ts'

type Flag = Command.Flag.Cached
type Loadable = Command.Loadable

/** What help is made of; the shape of oclif's `Config`. */
export interface Helped {
  readonly commands: readonly Loadable[]
  readonly topics: readonly {readonly name: string; readonly description?: string | undefined}[]
  findCommand(id: string): Loadable | undefined
}

export interface Page {
  /** Columns. */
  readonly width: number
  readonly colour: boolean
}

/**
 * The text of `--help`.
 * @param id of a command or topic; of vmctl itself when absent
 */
export const helpText = (id: string | undefined, helped: Helped, page: Page): string => {
  const command = id === undefined ? undefined : helped.findCommand(id)
  const sections = id === undefined ? overview(helped, page) : command ? pageOf(command, helped, page) : topicPage(id, helped, page)
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`
}

const overview = (helped: Helped, page: Page): string[] => {
  const known = new Set(Object.values(commandGroups).flat())
  const others = helped.commands.filter((command) => !known.has(command.id) && isShown(command)).map(({id}) => id)
  const groups = [...Object.entries(commandGroups), ...(others.length === 0 ? [] : [['Of plugins', others] as const])]
  const column = Math.max(...groups.flatMap(([, ids]) => ids.map((id) => spaced(id).length)))
  return [
    around('Real virtual machines from a VMFile.kdl, or from an image.', page),
    `${heading('Usage', page)} vmctl COMMAND [FLAGS]`,
    ...groups.map(([title, ids]) => list(title, rowsOf(ids, helped), {...page, column})),
    around('`vmctl COMMAND --help` explains a command and its flags. `vmctl --version` prints the version.', page),
  ]
}

const topicPage = (id: string, helped: Helped, page: Page): string[] => [
  around(helped.topics.find(({name}) => name === id)?.description ?? '', page),
  `${heading('Usage', page)} vmctl ${spaced(id)} COMMAND [FLAGS]`,
  below(id, helped, page),
]

/** The commands below a topic, or below a command such as `plugins`. */
const below = (id: string, helped: Helped, page: Page): string => {
  const ids = helped.commands.filter((command) => command.id.startsWith(`${id}:`) && isShown(command)).map((command) => command.id)
  return list('Commands', rowsOf(ids.toSorted(), helped), page)
}

const pageOf = (command: Loadable, helped: Helped, page: Page): string[] => {
  const {id, args, flags, aliases} = command
  const shown = Object.values(flags).filter(({hidden}) => !hidden)
  const own = shown.filter(({helpGroup}) => helpGroup !== 'GLOBAL').toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const global = shown.filter(({helpGroup}) => helpGroup === 'GLOBAL')
  const examples = (command.examples ?? []).map((example) => (typeof example === 'string' ? example : example.command))
  const others = aliases.filter((alias) => alias !== id).map((alias) => `\`vmctl ${spaced(alias)}\``)
  return [
    around(filled(command.summary ?? '', id), page),
    `${heading('Usage', page)}\n${wrapBehind(usageOf(command), page.width, {margin: '      ', first: '  '})}`,
    examples.length === 0 ? '' : `${heading('Examples', page)}\n${examples.map((example) => `  ${filled(example, id)}`).join('\n')}`,
    around(filled(command.description ?? '', id), page),
    list(
      'Arguments',
      Object.values(args)
        .filter(({hidden}) => !hidden)
        .map((arg) => [arg.name.toUpperCase(), arg.description ?? '']),
      page,
    ),
    list('Flags', own.map(rowOfFlag), page),
    list('Flags of every command', [...global.map(rowOfFlag), ['-h, --help', 'Show this help.']], page),
    below(id, helped, page),
    others.length === 0 ? '' : around(`Also written ${others.join(', ')}.`, page),
  ]
}

/** What is listed: no other name of one, and none that oclif brings. */
export const isShown = ({id, hidden, aliases, pluginName}: Loadable): boolean =>
  !hidden && !aliases.includes(id) && !pluginName?.startsWith('@oclif/')

const rowsOf = (ids: readonly string[], helped: Helped): string[][] =>
  ids.flatMap((id) => {
    const command = helped.findCommand(id)
    return command ? [[spaced(id), filled(command.summary ?? '', id)]] : []
  })

const rowOfFlag = (flag: Flag): string[] => [
  synopsisOfFlag(flag).replace(/^(?=--)/, '    '),
  [summaryOfFlag(flag), ...factsOfFlag(flag)].filter((text) => text !== '').join(' '),
]

/** The words of vmctl in place of oclif's templates. */
export const filled = (text: string, id: string): string =>
  text.replaceAll(/<%=\s*config\.bin\s*%>/g, 'vmctl').replaceAll(/<%=\s*command\.id\s*%>/g, spaced(id))

const around = (text: string, {width}: Page): string => (text === '' ? '' : wrap(text, width).join('\n'))

const heading = (title: string, {colour}: Page): string => (colour ? styleText('bold', `${title}:`, {validateStream: false}) : `${title}:`)

/** A heading, and rows of two columns below it; where these have no room beside each other, one below the other. */
const list = (title: string, rows: readonly (readonly string[])[], page: Page & {readonly column?: number}): string => {
  if (rows.length === 0) return ''
  const column = (page.column ?? Math.max(...rows.map(([name = '']) => name.length))) + 4
  const isNarrow = column + 30 > page.width
  const lines = rows.map(([name = '', text = '']) =>
    isNarrow
      ? `  ${name.trimStart()}\n${wrapBehind(text, page.width, {margin: '      '})}`
      : wrapBehind(text, page.width, {margin: ' '.repeat(column), first: `  ${name}`.padEnd(column)}),
  )
  return [heading(title, page), ...lines].join('\n')
}

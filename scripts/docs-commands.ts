import {Config, type Command} from '@oclif/core'

import {fromSource} from '../test/support/from-source.ts'
import {cell, header} from './docs-errors.ts'

type Flag = Command.Flag.Cached
type Loadable = Command.Loadable

/** Groups of the overview; a command in none of them is an error, so that none is forgotten. */
const groups: Readonly<Record<string, readonly string[]>> = {
  'VMs of a VMFile': ['up', 'down', 'reload', 'provision', 'plan', 'why', 'validate', 'import', 'install', 'uninstall'],
  'One VM by name': ['run', 'create', 'start', 'stop', 'restart', 'suspend', 'resume', 'destroy'],
  'Look inside': ['list', 'ps', 'projects', 'status', 'log', 'inspect', 'graph', 'exec', 'ssh', 'ssh-config', 'cp', 'console'],
  Images: ['image:search', 'image:pull', 'image:list', 'image:inspect', 'image:verify', 'image:rm'],
  Networks: ['network:ls', 'network:rm'],
  Volumes: ['volume:ls', 'volume:inspect', 'volume:rm'],
  Plugins: ['plugins', 'plugins:install', 'plugins:link', 'plugins:uninstall', 'plugins:update'],
  'The host': ['doctor', 'devices', 'version'],
}

/** Reads the commands from src/, so that no build and no manifest can be stale. */
export const commandsPage = async (): Promise<string> => {
  const config = await Config.load(fromSource)
  const own = config.commands.filter(
    (command) => command.pluginName === 'vmctl' && !command.hidden && !command.aliases.includes(command.id),
  )
  const byId = new Map(own.map((command) => [command.id, command]))
  const forgotten = own.filter(({id}) => !Object.values(groups).flat().includes(id))
  if (forgotten.length > 0)
    throw new Error(`Put these commands into a group of scripts/docs-commands.ts: ${forgotten.map(({id}) => id).join(', ')}`)
  const command = (id: string): Loadable => {
    const found = byId.get(id)
    if (!found) throw new Error(`There is no command ${id} any more.`)
    return found
  }
  return `${header('src/commands')}
# Commands

Every command takes these flags:

| flag | |
|---|---|
${rows(globalFlags(command('list')))}
| \`-h\`, \`--help\` | Show help. |

Commands that change a VM also take:

| flag | |
|---|---|
${rows(Object.values(command('up').flags).filter((flag) => locking.includes(flag.name)))}

\`vmctl --version\` (or \`-V\`) prints the version. \`vmctl autocomplete\` sets up completion for bash, zsh and PowerShell.
What a command prints for people may change; scripts read [\`--json\`](json.md), [exit statuses](exit-codes.md) and [error codes](errors.md).

${Object.entries(groups)
  .map(
    ([title, ids]) =>
      `**${title}**\n\n${ids.map((id) => `- [\`vmctl ${spaced(id)}\`](#vmctl-${id.replace(':', '-')}) – ${command(id).summary ?? ''}`).join('\n')}`,
  )
  .join('\n\n')}

${Object.values(groups)
  .flat()
  .map((id) => section(command(id)))
  .join('\n')}`
}

const spaced = (id: string): string => id.replaceAll(':', ' ')

const section = (command: Loadable): string => {
  const name = `vmctl ${spaced(command.id)}`
  const fill = (text: string): string =>
    text.replaceAll(/<%=\s*config\.bin\s*%>/g, 'vmctl').replaceAll(/<%=\s*command\.id\s*%>/g, spaced(command.id))
  const all = Object.values(command.flags).filter((flag) => !isGlobal(flag) && !flag.hidden)
  const flags = all.filter((flag) => !locking.includes(flag.name))
  const examples = (command.examples ?? []).map((example) => fill(typeof example === 'string' ? example : example.command))
  const usage = [
    name,
    ...Object.values(command.args).map((arg) => (arg.required ? arg.name.toUpperCase() : `[${arg.name.toUpperCase()}]`)),
    ...(command.id === 'ssh' ? ['[-- COMMAND…]'] : []),
  ]
  const parts = [
    `## ${name}\n\n${command.summary ?? ''}`,
    command.description === undefined ? '' : fill(command.description),
    `\`\`\`text\n${[...usage, ...flags.filter((flag) => flag.required).map((flag) => synopsis(flag)), ...(all.length > 0 ? ['[FLAGS]'] : [])].join(' ')}\n\`\`\``,
    Object.keys(command.args).length === 0
      ? ''
      : `| argument | |\n|---|---|\n${Object.values(command.args)
          .map((arg) => `| \`${arg.name.toUpperCase()}\` | ${cell(arg.description ?? '')} |`)
          .join('\n')}`,
    flags.length === 0 ? '' : `| flag | |\n|---|---|\n${rows(flags)}`,
    all.length > flags.length ? 'Also `--lock-timeout` and `--no-wait`.' : '',
    examples.length === 0 ? '' : `\`\`\`sh\n${examples.join('\n')}\n\`\`\``,
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

/** Flags of all commands that change a VM; described once. */
const locking = ['lock-timeout', 'no-wait']

const isGlobal = (flag: Flag): boolean => flag.helpGroup === 'GLOBAL'

const globalFlags = (command: Loadable): Flag[] => Object.values(command.flags).filter(isGlobal)

const rows = (flags: readonly Flag[]): string =>
  flags
    .map((flag) => `| \`${cell(synopsis(flag))}\` | ${cell([summaryOf(flag), ...factsOf(flag)].filter((word) => word !== '').join(' '))} |`)
    .join('\n')

/** oclif's own text for --json says less than ours. */
const summaryOf = (flag: Flag): string =>
  flag.name === 'json' ? 'Print the result as JSON on standard output, and nothing else there.' : (flag.summary ?? flag.description ?? '')

const factsOf = (flag: Flag): string[] => {
  const {options, default: value} = flag.type === 'option' ? flag : {}
  return [
    flag.required ? 'Required.' : '',
    options ? `One of ${list(options)}.` : '',
    value === undefined ? '' : `Default: \`${String(value)}\`.`,
    flag.env === undefined ? '' : `Also \`$${flag.env}\`.`,
    flag.exclusive ? `Not with ${list(flag.exclusive.map((other) => `--${other}`))}.` : '',
  ]
}

const list = (words: readonly string[]): string => words.map((word) => `\`${word}\``).join(', ')

const synopsis = (flag: Flag): string => {
  const short = flag.char === undefined ? '' : `-${flag.char}, `
  const value = flag.type === 'option' ? ` ${String(flag.helpValue ?? flag.name.toUpperCase())}` : ''
  return `${short}--${flag.name}${value}`
}

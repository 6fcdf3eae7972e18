import {Config, type Command} from '@oclif/core'

import {commandGroups} from '../src/cli/command-groups.ts'
import {filled} from '../src/cli/help.ts'
import {factsOfFlag, summaryOfFlag, synopsisOfFlag, usageOf} from '../src/cli/usage-line.ts'
import {fromSource} from '../test/support/from-source.ts'
import {cell, header} from './docs-errors.ts'

type Flag = Command.Flag.Cached
type Loadable = Command.Loadable

/** Reads the commands from src/, so that no build and no manifest can be stale. */
export const commandsPage = async (): Promise<string> => {
  const config = await Config.load(fromSource)
  const own = config.commands.filter(
    (command) => command.pluginName === 'vmctl' && !command.hidden && !command.aliases.includes(command.id),
  )
  const byId = new Map(own.map((command) => [command.id, command]))
  const forgotten = own.filter(({id}) => !Object.values(commandGroups).flat().includes(id))
  if (forgotten.length > 0)
    throw new Error(`Put these commands into a group of src/cli/command-groups.ts: ${forgotten.map(({id}) => id).join(', ')}`)
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

\`vmctl --version\` (or \`-V\`) prints the version.
What a command prints for people may change; scripts read [\`--json\`](json.md), [exit statuses](exit-codes.md) and [error codes](errors.md).

${Object.entries(commandGroups)
  .map(
    ([title, ids]) =>
      `**${title}**\n\n${ids.map((id) => `- [\`vmctl ${spaced(id)}\`](#vmctl-${id.replace(':', '-')}) – ${command(id).summary ?? ''}`).join('\n')}`,
  )
  .join('\n\n')}

${Object.values(commandGroups)
  .flat()
  .map((id) => section(command(id)))
  .join('\n')}`
}

const spaced = (id: string): string => id.replaceAll(':', ' ')

const section = (command: Loadable): string => {
  const name = `vmctl ${spaced(command.id)}`
  const fill = (text: string): string => filled(text, command.id)
  const all = Object.values(command.flags).filter((flag) => !isGlobal(flag) && !flag.hidden)
  const flags = all.filter((flag) => !locking.includes(flag.name))
  const examples = (command.examples ?? []).map((example) => fill(typeof example === 'string' ? example : example.command))
  const parts = [
    `## ${name}\n\n${command.summary ?? ''}`,
    command.description === undefined ? '' : fill(command.description),
    `\`\`\`text\n${usageOf(command)}\n\`\`\``,
    Object.keys(command.args).length === 0
      ? ''
      : `| argument | |\n|---|---|\n${Object.values(command.args)
          .map((arg) => `| \`${arg.name.toUpperCase()}\` | ${cell(arg.description ?? '')} |`)
          .join('\n')}`,
    flags.length === 0 ? '' : `| flag | |\n|---|---|\n${rows(flags)}`,
    all.length > flags.length ? 'Also `--lock-timeout` and `--fail-if-locked`.' : '',
    examples.length === 0 ? '' : `\`\`\`sh\n${examples.join('\n')}\n\`\`\``,
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

/** Flags of all commands that change a VM; described once. */
const locking = ['lock-timeout', 'fail-if-locked']

const isGlobal = (flag: Flag): boolean => flag.helpGroup === 'GLOBAL'

const globalFlags = (command: Loadable): Flag[] => Object.values(command.flags).filter(isGlobal)

const rows = (flags: readonly Flag[]): string =>
  flags
    .map(
      (flag) =>
        `| \`${cell(synopsisOfFlag(flag))}\` | ${cell([summaryOfFlag(flag), ...factsOfFlag(flag)].filter((word) => word !== '').join(' '))} |`,
    )
    .join('\n')

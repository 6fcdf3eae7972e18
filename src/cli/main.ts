import {Config} from '@oclif/core/config'
import * as Errors from '@oclif/core/errors'
import type {LoadOptions} from '@oclif/core/interfaces'

import {readCommandLine} from './command-line.ts'
import type {Outputs} from './outputs.ts'
import {adoptCommand, failureOfCommand} from './plugin-commands.ts'
import {report} from './report.ts'

/** Runs one command line. What goes wrong is reported, and is the exit status of the process. */
export const main = async (words: readonly string[], load: LoadOptions, outputs: Outputs): Promise<void> => {
  const isJson = words.slice(0, words.includes('--') ? words.indexOf('--') : words.length).includes('--json')
  const fail = (error: unknown): void => {
    process.exitCode = error instanceof Errors.ExitError ? error.oclif.exit : report(error, {json: isJson})
  }
  process.on('uncaughtException', (error) => {
    if (outputs.owns(error)) return
    fail(error)
    process.exit()
  })
  try {
    await run(words, await Config.load(load))
    await outputs.finish()
  } catch (error) {
    fail(error)
    await outputs.finish()
    // What a command that has failed left open must not keep the process.
    process.exit()
  }
}

const run = async (words: readonly string[], config: Config): Promise<void> => {
  const line = readCommandLine(words, {
    commandIDs: config.commandIDs,
    topics: config.topics,
    findCommand: (id) => config.findCommand(id),
  })
  if (line.kind === 'version') {
    process.stdout.write(`${config.userAgent}\n`)
    return
  }
  const {id} = line
  const argv = line.kind === 'command' ? [...line.argv] : []
  await config.runHook('init', {id: id ?? '', argv})
  if (line.kind === 'command') await runCommand(config, line.id, argv)
  else await showHelp(config, id)
  await config.runHook('finally', {id: id ?? '', argv, Command: undefined, error: undefined})
}

const runCommand = async (config: Config, id: string, argv: string[]): Promise<void> => {
  const command = config.findCommand(id)
  const isOwn = command?.pluginName === config.name
  try {
    if (command && !isOwn) await adoptCommand(command)
    await config.runCommand(id, argv)
  } catch (error) {
    throw isOwn ? error : failureOfCommand(error, id)
  }
}

const showHelp = async (config: Config, id: string | undefined): Promise<void> => {
  const [{helpText}, {columnsOf}] = await Promise.all([import('./help.ts'), import('./wrap.ts')])
  const colour = process.stdout.hasColors?.() === true && !process.env.NO_COLOR
  process.stdout.write(helpText(id, config, {width: Math.min(columnsOf(process.stdout), 100), colour}))
}

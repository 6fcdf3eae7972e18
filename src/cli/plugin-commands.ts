import type {Command} from '@oclif/core/command'
import * as Errors from '@oclif/core/errors'

import {isVmctlError, messageOf, VmctlError} from '../model/errors.ts'
import {usageError} from './usage-error.ts'

/**
 * Makes a command that is none of vmctl's own end like one: its arguments come from the command line and not from standard input, and
 * under `--json` its failures come out of it too, to be printed in the one shape.
 */
export const adoptCommand = async (command: Command.Loadable): Promise<void> => {
  const {prototype, args} = await command.load()
  for (const arg of Object.values(args)) arg.ignoreStdin = true
  const ending: unknown = Reflect.get(prototype, 'catch')
  const end = async function (this: Command, error: unknown): Promise<unknown> {
    if (this.jsonEnabled() || typeof ending !== 'function') throw error
    return Reflect.apply(ending, this, [error])
  }
  Object.defineProperty(prototype, 'catch', {value: end, configurable: true})
}

/** What such a command has thrown, in the words of vmctl. */
export const failureOfCommand = (error: unknown, id: string): unknown => {
  if (isVmctlError(error) || error instanceof Errors.ExitError) return error
  const words = id.replaceAll(':', ' ')
  if (error instanceof Errors.CLIError && 'parse' in error) return usageError(error, {words, args: [], flags: []})
  return new VmctlError('vmctl::plugin::command_failed', `\`vmctl ${words}\` failed: ${messageOf(error)}`, {cause: error})
}

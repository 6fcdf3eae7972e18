import {once} from 'node:events'
import type {Writable} from 'node:stream'

import {elevate} from '../model/elevate.ts'
import {VmctlError} from '../model/errors.ts'
import type {ExecOptions} from '../model/exec.ts'
import type {GuestConnection} from './ssh/connection.ts'

export interface CommandResult {
  readonly stdout: string
  readonly stderr: string
  /** Null when a signal ended the command. */
  readonly exitCode: number | null
  readonly signal: string | null
}

export interface CommandOptions extends Pick<ExecOptions, 'stdin' | 'signal'> {
  /** Run it as root. */
  readonly privileged?: boolean
}

const outputLimitBytes = 8 * 2 ** 20
const tailBytes = 64 * 2 ** 10

/**
 * Runs a command and returns its whole output, as text.
 * @throws VmctlError `vmctl::ssh::failed` when it prints more than `limitBytes` (8 MiB): stream such a command instead
 */
export const exec = async (
  guest: Pick<GuestConnection, 'exec'>,
  command: string,
  options: CommandOptions & {readonly limitBytes?: number} = {},
): Promise<CommandResult> => {
  const {limitBytes = outputLimitBytes} = options
  const output = {stdout: [] as Buffer[], stderr: [] as Buffer[]}
  let size = 0
  const collect = (name: 'stdout' | 'stderr') => (chunk: Buffer) => {
    size += chunk.length
    if (size > limitBytes)
      throw new VmctlError('vmctl::ssh::failed', `The command printed more than ${limitBytes} bytes: ${command.slice(0, 200)}`)
    output[name].push(chunk)
  }
  const {code, signal} = await guest.exec(commandLine(command, options), {
    ...inputOf(options),
    onStdout: collect('stdout'),
    onStderr: collect('stderr'),
  })
  return {stdout: Buffer.concat(output.stdout).toString(), stderr: Buffer.concat(output.stderr).toString(), exitCode: code, signal}
}

/**
 * Runs a command and writes its output to two streams as it comes; a stream that is slow slows the command.
 * The streams are not ended. The result holds the last 64 KiB of each.
 */
export const execStreaming = async (
  guest: Pick<GuestConnection, 'exec'>,
  command: string,
  options: CommandOptions & {readonly stdout: Writable; readonly stderr: Writable},
): Promise<CommandResult> => {
  const tails = {stdout: Buffer.alloc(0), stderr: Buffer.alloc(0)}
  const forward = (name: 'stdout' | 'stderr') => async (chunk: Buffer) => {
    tails[name] = Buffer.concat([tails[name], chunk]).subarray(-tailBytes)
    const target = options[name]
    if (!target.write(chunk)) await once(target, 'drain')
  }
  const {code, signal} = await guest.exec(commandLine(command, options), {
    ...inputOf(options),
    onStdout: forward('stdout'),
    onStderr: forward('stderr'),
  })
  return {stdout: tails.stdout.toString(), stderr: tails.stderr.toString(), exitCode: code, signal}
}

const commandLine = (command: string, {privileged}: CommandOptions): string => (privileged ? elevate(command) : command)

const inputOf = ({stdin, signal}: CommandOptions): Pick<ExecOptions, 'stdin' | 'signal'> => ({
  signal,
  ...(stdin === undefined ? {} : {stdin}),
})

import type {Readable} from 'node:stream'

import {clean} from '../../model/any-shell.ts'
import {elevate} from '../../model/elevate.ts'
import {VmctlError} from '../../model/errors.ts'
import type {Guest, GuestExecOptions} from '../provisioner.ts'
import {keepTail} from '../../host/tail.ts'
import {shellFromInput, shellCommand} from '../../model/guest-program.ts'

export interface GuestProgramOptions extends Pick<GuestExecOptions, 'onStdout' | 'signal'> {
  readonly privileged?: boolean | undefined
  /** What is being done, for the message of a failure: `look at /srv in the guest`. */
  readonly action: string
  /** Standard input of the program, or null for none. Its text then travels in the command line, and must be short. */
  readonly stdin?: Readable | null
}

/**
 * Runs a POSIX shell program in the guest, whose text comes over standard input unless that is for something else.
 * @throws VmctlError `vmctl::guest::copy_failed` with what it said, when it ends with another status than 0
 */
export const runInGuest = async (guest: Guest, program: string, options: GuestProgramOptions): Promise<void> => {
  const said = keepTail()
  const {stdin = program} = options
  const command = stdin === program ? shellFromInput() : shellCommand(program)
  const {code, signal} = await guest.exec(clean(options.privileged ? elevate(command) : command), {
    ...(stdin !== null && {stdin}),
    ...(options.onStdout && {onStdout: options.onStdout}),
    onStderr: said.take,
    signal: options.signal,
  })
  if (code === 0) return
  throw new VmctlError(
    'vmctl::guest::copy_failed',
    `Cannot ${options.action}: ${said.lines(3) || `the shell ended with ${code ?? signal}`}`,
  )
}

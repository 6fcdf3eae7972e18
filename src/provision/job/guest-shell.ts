import type {Readable} from 'node:stream'

import {lastLines} from '../../host/process.ts'
import {clean} from '../../model/any-shell.ts'
import {elevate} from '../../model/elevate.ts'
import {VmctlError} from '../../model/errors.ts'
import {quote} from '../../model/quote.ts'
import {stripControls} from '../../model/strip.ts'
import type {Guest, GuestExecOptions} from '../provisioner.ts'

export interface GuestProgramOptions extends Pick<GuestExecOptions, 'onStdout' | 'signal'> {
  readonly privileged?: boolean
  /** What is being done, for the message of a failure: `look at /srv in the guest`. */
  readonly action: string
  /** Standard input of the program, whose text then travels in the command line and must be short. */
  readonly stdin?: Readable
}

/**
 * Runs a POSIX shell program in the guest. Its text comes over standard input, so it may be long and nothing of it is in a
 * process list.
 * @throws VmctlError `vmctl::guest::copy_failed` with what it said, when it ends with another status than 0
 */
export const runInGuest = async (guest: Guest, program: string, options: GuestProgramOptions): Promise<void> => {
  let said = ''
  // `eval`: a shell that reads its program from a pipe reads it byte by byte.
  const command = options.stdin ? `sh -c ${quote(program)}` : `sh -c 'eval "$(cat)"'`
  const {code, signal} = await guest.exec(clean(options.privileged ? elevate(command) : command), {
    stdin: options.stdin ?? program,
    ...(options.onStdout && {onStdout: options.onStdout}),
    onStderr: (chunk) => {
      said = `${said}${chunk.toString()}`.slice(-2000)
    },
    signal: options.signal,
  })
  if (code === 0) return
  const reason = lastLines(stripControls(said), 3) || `the shell ended with ${code ?? signal}`
  throw new VmctlError('vmctl::guest::copy_failed', `Cannot ${options.action}: ${reason}`)
}

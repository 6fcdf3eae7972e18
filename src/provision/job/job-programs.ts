import {elevate} from '../../model/elevate.ts'
import {quote, quoteAll} from '../../model/quote.ts'
import * as programs from '../programs/index.ts'
import type {JobSpec} from './job-spec.ts'
import type {Delivered} from '../provisioner.ts'
import {shellCommand, programText} from '../../model/guest-program.ts'

/** What the status of a follower says of the job, or of the lack of one. */
export const verdicts = {...programs.startJob.statuses, ...programs.attachJob.statuses, ...programs.killJob.statuses}

/** The text of `inner`: environment and arguments live in this file, so no value is seen by a process list. */
export const innerProgram = (spec: JobSpec): string => {
  const exports = Object.entries(spec.env).map(([name, value]) => `export ${name}=${quote(value)}`)
  const args = spec.args.map((argument) => ` ${quote(argument)}`).join('')
  // A script is a program of its own; an inline text is for the login shell.
  const shell = spec.executable ? '' : '$VMCTL_SHELL '
  const program = spec.interpreter === undefined ? shell : `${quoteAll(spec.interpreter.trim().split(/\s+/))} `
  // The step's own variables come last, so that none of them (PWD, HOME, PATH, …) is taken for one of ours.
  const start = [`set -- ${program}"$PWD/script"${args}`, 'cd "$HOME" 2>/dev/null || cd /', 'unset VMCTL_SHELL']
  return [...start, ...exports, 'exec "$@"', ''].join('\n')
}

const runProgram = (privileged: boolean): string => {
  const inner = `${shellCommand(programs.runInner.text)} vmctl "$PWD" "$SHELL"`
  return programText(programs.runJob, {vmctl_inner: privileged ? elevate(inner) : inner})
}

interface StartSettings {
  readonly vmId: string
  readonly innerLines: number
  readonly scriptBytes: number
  readonly privileged: boolean
}

/** @param mark a word that tells the line with the directory from what a login shell may say */
export const startProgram = (mark: string, {vmId, innerLines, scriptBytes, privileged}: StartSettings): string =>
  programText(programs.startJob, {
    mark,
    prefix: `vmctl-${vmId}-`,
    inner_lines: innerLines,
    script_bytes: scriptBytes,
    vmctl_run: runProgram(privileged),
    out_at: 0,
    err_at: 0,
  })

export const attachProgram = (mark: string, directory: string, {stdout, stderr}: Delivered): string =>
  programText(programs.attachJob, {mark, directory, out_at: stdout, err_at: stderr})

export const killProgram = (directory: string): string => programText(programs.killJob, {directory})

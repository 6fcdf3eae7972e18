import type {Readable} from 'node:stream'

import {tee} from '../../host/tee.ts'
import {about, exitCodeOfAll, isFailure, summaryOf, VmctlError} from '../../model/errors.ts'
import type {ExecOptions} from '../../model/exec.ts'
import {noShell} from '../../model/login.ts'
import {quoteAll} from '../../model/quote.ts'
import {requireVm} from '../../store/store.ts'
import {waitForGuest} from './wait.ts'
import {type Engine, observe} from '../engine.ts'

export interface ExecRequest {
  readonly names: readonly string[]
  /** A program and its arguments, which reach the guest as they are. */
  readonly command: readonly string[]
  /** Directory of the guest to run it in. */
  readonly workdir?: string | undefined
  readonly user?: string | undefined
  /** What each of the programs reads; nothing when absent. It is used up: destroyed when the last of them has ended. */
  readonly stdin?: Readable | undefined
  /** Gets what the program writes; the guest waits while the promise is pending. */
  readonly onOutput: (vm: string, stream: 'stdout' | 'stderr', chunk: Buffer) => void | Promise<void>
}

/** How a program ended in one VM; the `--json` shape of an element of `vmctl exec`. */
export interface ExecResult {
  readonly name: string
  /** Absent when the program could not be run, or when a signal ended it. */
  readonly exitCode?: number
  readonly signal?: string
  readonly error?: {readonly code: string; readonly message: string}
}

const patienceMs = 30_000

/** The status of ssh(1) for a connection that is lost, and for a signal. */
const lost = 255

/**
 * The words of a command for a guest without a shell, which makes of them what it likes: joined by blanks, as ssh(1) does.
 * @throws VmctlError `vmctl::guest::no_shell` for one that is to start in a directory
 */
export const verbatim = (command: readonly string[], workdir: string | undefined): string => {
  if (workdir !== undefined) throw noShell('A program cannot be started in a directory of its own')
  return command.join(' ')
}

/**
 * A program that starts in a directory of the guest, a shell when there is none; 126 when the directory cannot be entered, the
 * status of a command that cannot be run (POSIX, 2.8.2).
 */
export const inDirectory = (program: readonly string[], directory: string | undefined): readonly string[] => {
  if (directory === undefined) return program
  const words = program.length > 0 ? program : ['sh', '-c', 'exec "${SHELL:-/bin/sh}" -l']
  return ['sh', '-c', 'cd -- "$1" || exit 126; shift; exec "$@"', 'sh', directory, ...words]
}

/**
 * Runs a program in several guests at once. A VM in which that is impossible does not keep it from the others.
 * @returns with the exit status for all of them
 */
export const execAll = async (
  engine: Engine,
  request: ExecRequest,
): Promise<{readonly vms: readonly ExecResult[]; readonly exitCode: number}> => {
  const {names} = request
  const inputs = request.stdin ? tee(request.stdin, names.length) : []
  const errors: unknown[] = []
  const vms = await Promise.all(
    names.map(async (name, index): Promise<ExecResult> => {
      const stdin = inputs[index]
      try {
        return await execIn(engine, name, {...request, stdin})
      } catch (error) {
        if (engine.signal.aborted) throw error
        errors.push(error)
        const {code, message} = summaryOf(error)
        return {name, error: {code, message}}
      } finally {
        stdin?.destroy()
      }
    }),
  )
  // A connection that is lost is 255 for one VM, by ssh(1), and so for several.
  const own = errors.filter((error) => !isFailure(error, 'vmctl::ssh::connection_lost'))
  if (own.length > 0) return {vms, exitCode: exitCodeOfAll(own)}
  return {vms, exitCode: errors.length > 0 ? lost : exitStatus(vms)}
}

const execIn = async (engine: Engine, name: string, {command, workdir, user, stdin, onOutput}: ExecRequest): Promise<ExecResult> => {
  const vm = await requireVm(engine.store, name)
  const {state} = await observe(engine, vm)
  if (state !== 'running') throw new VmctlError('vmctl::vm::invalid_state', `VM ${name} is ${state}; programs run only in a running one.`)
  const {connection} = await waitForGuest(engine, vm, {user, timeoutMs: patienceMs, cloudInit: false})
  try {
    const options: ExecOptions = {
      ...(stdin && {stdin}),
      onStdout: (chunk) => onOutput(name, 'stdout', chunk),
      onStderr: (chunk) => onOutput(name, 'stderr', chunk),
      signal: engine.signal,
    }
    const {code, signal} = await (connection.hasShell
      ? connection.exec(quoteAll(inDirectory(command, workdir)), options)
      : connection.execVerbatim(verbatim(command, workdir), options))
    return {name, ...(code !== null && {exitCode: code}), ...(signal !== null && {signal})}
  } catch (error) {
    throw about(error, {vm: name})
  } finally {
    connection.close()
  }
}

/** The first status of programs that is not 0. */
const exitStatus = (results: readonly ExecResult[]): number => {
  for (const {exitCode, signal} of results) {
    if (signal !== undefined) return lost
    if (exitCode !== undefined && exitCode !== 0) return exitCode
  }
  return 0
}

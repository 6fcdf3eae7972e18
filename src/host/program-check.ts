import type {Check} from '../model/check.ts'
import {messageOf} from '../model/errors.ts'
import {howToInstall, type PackageName} from './packages.ts'
import {lastLines, run} from './process.ts'

export interface ProgramCheck {
  readonly name: PackageName
  /** The program with arguments by which it says its version. */
  readonly command: readonly string[]
  /** What its absence is. */
  readonly need: 'warn' | 'fail'
  /** What it is for, in words: `vmctl ssh`. */
  readonly use?: string
  readonly signal: AbortSignal
}

/** Whether a program of the host runs, found out by running it. */
export const programCheck = async ({name, command: [file = '', ...args], need, use, signal}: ProgramCheck): Promise<Check> => {
  try {
    const {exitCode, stdout, stderr} = await run(file, args, {timeoutMs: 10_000, signal})
    const version = (stdout || stderr).split('\n')[0] ?? ''
    if (exitCode === 0) return {name, status: 'ok', detail: version}
    return {name, status: need, detail: `${file} does not run: ${lastLines(stderr, 1)}`, help: await howToInstall(name)}
  } catch (error) {
    signal.throwIfAborted()
    return {
      name,
      status: need,
      detail: `${messageOf(error)}${use === undefined ? '' : ` Needed for ${use}.`}`,
      help: await howToInstall(name),
    }
  }
}

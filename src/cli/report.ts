import {debug} from '../model/debug.ts'
import {exitCodeOf, explained, isVmctlError, messageOf, stackOf} from '../model/errors.ts'
import {stripControls} from '../model/strip.ts'
import {formatError} from './diagnostics.ts'
import {screenOf} from './screen.ts'

interface ErrorJson {
  readonly error: Readonly<Record<string, unknown>>
}

/** The shape of a failure under `--json`. */
export const errorJson = (error: unknown): ErrorJson => {
  const failure = explained(error)
  if (!isVmctlError(failure)) return {error: {code: 'unexplained', message: messageOf(error)}}
  const {code, message, help, problems, details} = failure
  return {error: {code, message, help, ...(problems.length > 0 && {problems}), ...details}}
}

/**
 * Tells a failure: to a program on standard output, to a person on standard error.
 * @returns the exit status
 */
export const report = (error: unknown, {json}: {readonly json: boolean}): number => {
  const failure = explained(error)
  debug('cli', () => stackOf(failure))
  if (json) process.stdout.write(`${JSON.stringify(errorJson(failure), undefined, 2)}\n`)
  else process.stderr.write(isVmctlError(failure) ? formatError(failure, screenOf(process.stderr)) : unexplained(failure))
  return exitCodeOf(failure)
}

const unexplained = (error: unknown): string =>
  `error[unexplained]: ${stripControls(messageOf(error))}
  help: This is a bug in vmctl or in a plugin. Run the command again with \`--debug\`, and report what it prints.
`

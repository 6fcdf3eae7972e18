import {basename, dirname, join, resolve} from 'node:path'

import {environment} from '../../host/paths.ts'
import {isVmctlError, type Problem, VmctlError} from '../../model/errors.ts'
import {readDockerfile} from '../../provision/dockerfile/index.ts'
import {parseVmfile} from '../load.ts'

export interface Checked {
  /** Whether `vmctl validate` accepts the text, apart from files that are missing here. */
  readonly isValid: boolean
  readonly problems: readonly Problem[]
}

/**
 * Checks an imported VMFile as `vmctl validate` does. Files of another computer may be missing here, which is no fault of the
 * import: their problems are warnings.
 * @param path where the VMFile will be
 */
export const checkImported = async (text: string, path: string, file: string): Promise<Checked> => {
  const strict = await problemsOf(text, {path, file, toleratesMissing: false})
  if (!hasErrors(strict)) return {isValid: true, problems: strict}
  const isValid = !hasErrors(await problemsOf(text, {path, file, toleratesMissing: true}))
  return {isValid, problems: isValid ? strict.map((problem) => ({...problem, severity: 'warning'})) : strict}
}

/**
 * What to throw for a VMFile that was written and is not valid.
 * @param details the VMFile, and what was left out of it, for programs
 */
export const invalidImport = (
  problems: readonly Problem[],
  target: string | undefined,
  details: {readonly text: string; readonly warnings: readonly string[]},
): VmctlError => {
  const count = problems.filter(({severity}) => severity === 'error').length
  const what = target === undefined ? 'The imported VMFile' : `${target} is written, but it`
  return new VmctlError(
    'vmctl::import::invalid',
    `${what} is not valid yet: ${count === 1 ? 'one thing is' : `${count} things are`} to be corrected.`,
    {
      problems,
      details,
    },
  )
}

const hasErrors = (problems: readonly Problem[]): boolean => problems.some(({severity}) => severity === 'error')

interface Place {
  readonly path: string
  readonly file: string
  readonly toleratesMissing: boolean
}

const problemsOf = async (text: string, {path, file, toleratesMissing}: Place): Promise<readonly Problem[]> => {
  const directory = resolve(dirname(path))
  try {
    const options = {path: join(directory, basename(path)), directory, file, toleratesMissing, env: environment(), readDockerfile}
    return (await parseVmfile(text, options)).warnings
  } catch (error) {
    if (isVmctlError(error) && error.problems.length > 0) return error.problems
    throw error
  }
}

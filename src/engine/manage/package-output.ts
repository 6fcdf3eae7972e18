import {mkdir, readdir, stat} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'

import {remove} from '../../host/durable.ts'
import {ioError, isTemporaryName, pathExists, placeFile, temporaryPath, writeFileAtomic} from '../../host/files.ts'
import {resolvePath} from '../../host/paths.ts'
import {VmctlError} from '../../model/errors.ts'
import {formatOfName, packageEndings, type PackageFormat, packageFormats} from '../../model/package-format.ts'
import type {PackageFile} from '../../image/write-package.ts'

export interface OutputOptions {
  /** As the user wrote it; `NAME.qcow2`, or what the format calls for, in `directory` when absent. */
  readonly output?: string | undefined
  /** As the name of the file says when absent. */
  readonly format?: PackageFormat | undefined
  /** Whether files of these names are replaced. */
  readonly force: boolean
  readonly directory: string
}

/** Where a package goes. */
export interface Output {
  readonly path: string
  readonly format: PackageFormat
  readonly force: boolean
}

/**
 * Decides where a package goes, and refuses what could not be written there before any work is done.
 * @throws VmctlError `vmctl::usage::invalid`, `vmctl::image::exists`, `vmctl::io`
 */
export const planOutput = async (name: string, {output, force, directory, ...options}: OutputOptions): Promise<Output> => {
  const format = decideFormat(output, options.format)
  const path = resolvePath(output ?? `${name}${packageEndings[format]}`, directory)
  const parent = await stat(dirname(path)).catch((error: unknown) => {
    throw ioError('write to the directory', dirname(path), error)
  })
  if (!parent.isDirectory()) throw new VmctlError('vmctl::usage::invalid', `${dirname(path)} is not a directory.`)
  if (await isDirectory(path)) throw new VmctlError('vmctl::usage::invalid', `${path} is a directory.`, {help: 'Name a file in it.'})
  const plan = {path, format, force}
  for (const each of force ? [] : namesOf(plan)) if (await pathExists(each)) throw exists(each)
  return plan
}

const isDirectory = (path: string): Promise<boolean> =>
  stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  )

const decideFormat = (output: string | undefined, asked: PackageFormat | undefined): PackageFormat => {
  const said = output === undefined ? 'qcow2' : formatOfName(output)
  if (asked === undefined) {
    if (said !== undefined) return said
    throw new VmctlError('vmctl::usage::invalid', `The name ${JSON.stringify(output)} does not say which format is meant.`, {
      help: `Give \`--format\` (${packageFormats.join(', ')}), or a name that ends so.`,
    })
  }
  if (output === undefined || said === undefined || packageEndings[asked] === packageEndings[said]) return asked
  throw new VmctlError('vmctl::usage::invalid', `${JSON.stringify(output)} ends as ${said}, but \`--format ${asked}\` is given.`, {
    help: 'Leave out one of the two, or make them agree.',
  })
}

const exists = (path: string): VmctlError => new VmctlError('vmctl::image::exists', `${path} is there already.`, {details: {path}})

/** The name of a file beside the result. */
export const besideOutput = ({path, format}: Output, suffix: string): string => {
  const ending = packageEndings[format]
  return `${path.toLowerCase().endsWith(ending) ? path.slice(0, -ending.length) : path}${suffix}`
}

const factsPath = ({path}: Output): string => `${path}.json`

const namesOf = (output: Output): readonly string[] => [
  output.path,
  factsPath(output),
  ...(output.format === 'incus' ? [besideOutput(output, '.metadata.tar.gz')] : []),
]

/** Makes the directory beside the result in which it is made, after removing those of killed processes. */
export const stageOutput = async ({path}: Output): Promise<string> => {
  const parent = dirname(path)
  for (const name of await readdir(parent)) {
    const pid = isTemporaryName(name) && name.startsWith(`.${basename(path)}.`) ? Number(name.split('.').at(-3)) : undefined
    if (pid !== undefined && !isRunning(pid)) await remove(join(parent, name))
  }
  const stage = temporaryPath(path)
  await mkdir(stage, {mode: 0o700}).catch((error: unknown) => {
    throw ioError('write to the directory', parent, error)
  })
  return stage
}

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Gives the files of a package their names: what goes with the result first, the result, then the facts, which have its digest. */
export const placeOutput = async (output: Output, files: readonly PackageFile[], facts: object): Promise<readonly string[]> => {
  const placed: string[] = []
  for (const {path, suffix} of files.toReversed()) {
    const target = suffix === undefined ? output.path : besideOutput(output, suffix)
    await placeFile(path, target, {replace: output.force})
    placed.unshift(target)
  }
  await writeFileAtomic(factsPath(output), `${JSON.stringify(facts, null, 2)}\n`, 0o644)
  return [...placed, factsPath(output)]
}

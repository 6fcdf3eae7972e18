import {realpath} from 'node:fs/promises'
import {basename, dirname, join, resolve} from 'node:path'

import {expandTilde} from '../host/paths.ts'
import type {LoadOptions, ParseOptions, Vmfile} from './parse.ts'
import {readSource} from './source.ts'

export {defaultName, discoverVmfile, nearestVmfile} from './discover.ts'
export type {LoadOptions, ParseOptions, Vmfile} from './parse.ts'

/**
 * Reads and checks a VMFile with everything it refers to.
 * @param path as the user gave it; problems call the file so
 * @throws VmctlError `vmctl::vmfile::parse_failed` or `vmctl::vmfile::validation` with all problems in the order of the file,
 *   `vmctl::vmfile::not_found`, or `vmctl::io` when the file cannot be read
 */
export const loadVmfile = async (path: string, options: LoadOptions = {}): Promise<Vmfile> => {
  const given = resolve(expandTilde(path))
  const text = await readSource(given, path)
  const directory = await realpath(dirname(given))
  return parseVmfile(text, {...options, path: join(directory, basename(given)), directory, file: path})
}

/**
 * The same from a text. The files that it names are looked up as usual.
 * @throws VmctlError as `loadVmfile`
 */
export const parseVmfile = async (text: string, options: ParseOptions): Promise<Vmfile> => {
  // Commands without a VMFile must not pay for loading all that reads one.
  const {parse} = await import('./parse.ts')
  return parse(text, options)
}

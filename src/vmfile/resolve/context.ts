import {resolvePath} from '../../host/paths.ts'
import type {BackendNodes} from '../../model/backend-node.ts'
import type {Publisher} from '../../model/catalogue.ts'
import type {DockerfileSpec} from '../../model/dockerfile.ts'
import type {Located} from '../grammar/shapes.ts'
import type {Report} from '../kdl/report.ts'
import {quoted} from '../kdl/wording.ts'
import {lookAt} from './local-files.ts'

/** Parses the settings of a provision type that a plugin brings; throws an Error that says what is wrong. */
export type ParseSettings = (settings: Readonly<Record<string, unknown>>) => unknown

/** Reads a Dockerfile and says what its FROM names; throws an Error that says what is wrong with it. */
export type ReadDockerfile = (spec: DockerfileSpec) => Promise<{readonly base: string; readonly warnings: readonly string[]}>

/** Looks at the content of a file for cloud-init and says what is wrong with it. */
export type ExamineSeedFile = (
  kind: 'user-data' | 'vendor-data' | 'network-config',
  bytes: Uint8Array,
) => readonly {readonly severity: 'error' | 'warning'; readonly message: string; readonly hint: string}[]

/** What the checks of one file have in common. */
export interface Context {
  readonly report: Report
  /** Where relative paths of the file start. */
  readonly directory: string
  readonly imageSchemes: readonly string[]
  /** The images that have a name. */
  readonly catalogue: readonly Publisher[]
  /** The types that plugins bring. */
  readonly provisionTypes: ReadonlyMap<string, ParseSettings | undefined>
  /** The nodes of the backends that there are. */
  readonly backends: BackendNodes
  /** The name of the home that was asked for, in place of that of the file. */
  readonly home?: string | undefined
  /** Of vmctl itself. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly readDockerfile?: ReadDockerfile | undefined
  readonly examineSeedFile?: ExamineSeedFile | undefined
  /** Whether files and variables that the VMFile names may be missing. */
  readonly toleratesMissing: boolean
}

/** `file` alone, or also `directory`. */
type Wanted = 'file' | 'directory' | 'file or directory'

/**
 * Resolves a path of the file and reports when nothing usable is there.
 * @param noun what it is in messages: `image file`, `script`
 */
export const resolveExisting = async (
  path: Located<string>,
  noun: string,
  {report, directory, toleratesMissing}: Context,
  wanted: Wanted = 'file',
): Promise<string> => {
  const resolved = resolvePath(path.value, directory)
  const {kind, reason} = await lookAt(resolved)
  const shown = quoted(path.value)
  if (kind === 'missing' && toleratesMissing) return resolved
  if (kind === 'missing') {
    report.error(path, reason ? `${noun} ${shown} cannot be used: ${reason}` : `${noun} not found: ${shown}`, `vmctl looks for ${resolved}`)
  } else if (kind === 'directory' && wanted === 'file') {
    report.error(path, `${noun} ${shown} is a directory`, 'name a file')
  } else if (kind === 'file' && wanted === 'directory') {
    report.error(path, `${noun} ${shown} is a file`, 'name a directory')
  } else if (kind === 'other') {
    report.error(path, `${noun} ${shown} is neither a file nor a directory`, 'name a regular file')
  }
  return resolved
}

/** `{key: value}`, or nothing when there is no value: for optional properties that must not hold undefined. */
export const optional = <K extends string, T>(key: K, value: T | undefined): Partial<Record<K, T>> =>
  value === undefined ? {} : ({[key]: value} as Record<K, T>)

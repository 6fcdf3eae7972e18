import type {BackendNodes} from '../model/backend-node.ts'
import type {Publisher} from '../model/catalogue.ts'
import {builtInCatalogue} from '../model/catalogue-entries.ts'
import {type Place, type Problem, VmctlError} from '../model/errors.ts'
import {isSpecField} from './changes.ts'
import {readDocument} from './grammar/read.ts'
import {problemsError, type Report, startReport} from './kdl/report.ts'
import {parseKdl} from './kdl/syntax.ts'
import type {KdlNode} from './kdl/tree.ts'
import {provisionVariants} from './nodes/provision.ts'
import {buildStack, type Stack} from './nodes/stack.ts'
import {languageWith} from './nodes/stack.ts'
import type {Context, ExamineSeedFile, ParseSettings, ReadDockerfile} from './resolve/context.ts'
import {refuseOtherLanguage} from './other-language.ts'
import {refuseSize, sizeLimit} from './source.ts'

/** A VMFile that was read and found valid. */
export interface Vmfile extends Stack {
  /** Absolute; the directory in it is free of symbolic links. */
  readonly path: string
  /** Where the relative paths of the file start. */
  readonly directory: string
  readonly warnings: readonly Problem[]
  /** Where each VM is defined, by its name; absent in a VMFile that was not read from a text. */
  readonly places?: ReadonlyMap<string, Place>
}

export interface LoadOptions {
  /** Provision types that plugins bring, each with the function that checks its settings and throws when they are wrong. */
  readonly provisionTypes?: ReadonlyMap<string, ParseSettings | undefined>
  /** The nodes that backends have in a VM; none when absent. */
  readonly backends?: BackendNodes
  /** Schemes of `image-url` besides http and https, without the colon. */
  readonly imageSchemes?: readonly string[]
  /** The images that have a name; those that vmctl brings when absent. */
  readonly catalogue?: readonly Publisher[]
  /** The name of the home of the VMs, in place of that of the file; `local` is this host. */
  readonly home?: string | undefined
  /** The variables that secrets may be taken from; none when absent. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** What reads Dockerfiles; none can be used when absent. */
  readonly readDockerfile?: ReadDockerfile
  /** What looks into files for cloud-init; they are taken as they are when absent. */
  readonly examineSeedFile?: ExamineSeedFile
  /** Whether files and variables that the VMFile names may be missing: a VM must be stoppable although its script was deleted. */
  readonly toleratesMissing?: boolean
}

export interface ParseOptions extends LoadOptions {
  /** Absolute path of the file, for the result. */
  readonly path: string
  readonly directory: string
  /** What problems call the file; its path when absent. */
  readonly file?: string
}

/** The implementation of `parseVmfile`, behind its lazy import. */
export const parse = async (text: string, options: ParseOptions): Promise<Vmfile> => {
  const {
    path,
    directory,
    file = path,
    readDockerfile,
    examineSeedFile,
    imageSchemes = [],
    catalogue = builtInCatalogue,
    provisionTypes = new Map(),
    backends = new Map(),
    toleratesMissing = false,
    env = {},
    home,
  } = options
  const report = startReport(text, file)
  if (text.length > sizeLimit) refuseSize(report)
  else refuseOtherLanguage(text, file, report)
  const clash = [...backends.keys()].find(isSpecField)
  if (clash !== undefined) throw new VmctlError('vmctl::plugin::invalid', `A backend that has a node cannot be called ${clash}.`)
  const whole = languageWith(backends)
  const extensions = new Set([...provisionTypes.keys()].filter((type) => !Object.hasOwn(provisionVariants, type)))
  const language = {grammar: whole.fields, extensions}
  // Of a file with syntax errors its words can be checked; what is missing may stand where it was broken.
  const checkWords = (read: readonly KdlNode[], isReported: (offset: number) => boolean): void => {
    const error: Report['error'] = (span, ...said) => void (isReported(span.start) || report.error(span, ...said))
    readDocument(read, whole, {...language, report: startReport(text, file), unknown: {error}})
  }
  const nodes = report.hasErrors() ? undefined : parseKdl(text, report, checkWords)
  if (!nodes) throw problemsError(report, file)
  const context: Context = {
    report,
    directory,
    backends,
    imageSchemes,
    catalogue,
    provisionTypes,
    env,
    home,
    readDockerfile,
    examineSeedFile,
    toleratesMissing,
  }
  const {spans, ...stack} = await buildStack(readDocument(nodes, whole, {...language, report}), path, context)
  if (report.hasErrors()) throw problemsError(report, file)
  const places = new Map([...spans].map(([name, span]) => [name, report.placeOf(span)]))
  return {path, directory, ...stack, warnings: report.problems(), places}
}

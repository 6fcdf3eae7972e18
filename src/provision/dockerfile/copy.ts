import {join, posix} from 'node:path'

import {quote} from '../../model/quote.ts'
import type {FileSettings, OwnStep} from '../../model/steps.ts'
import {dockerignoreBelow} from '../tree/ignore.ts'
import {type Context, findSources} from './context.ts'
import {DockerfileError, type Instruction} from './parse.ts'
import type {Expand} from './variables.ts'
import type {Lookup} from './words.ts'

interface CopyRequest {
  readonly line: number
  readonly keyword: string
  readonly title: string
  readonly sources: readonly string[]
  readonly documents: readonly {readonly name: string; readonly content: string}[]
  /** Absolute path in the guest. */
  readonly destination: string
  /** Whether the destination is a directory that files go into. */
  readonly intoDirectory: boolean
  readonly owner?: string
  readonly mode?: number
}

interface CopyState {
  readonly words: readonly string[]
  /** WORKDIR. */
  readonly directory: string
  readonly title: string
  readonly expand: Expand
  readonly lookup: Lookup
}

/** The options and arguments of COPY or ADD. */
export const readCopy = (instruction: Instruction, {words, directory, title, expand, lookup}: CopyState): CopyRequest => {
  const {line, keyword, documents} = instruction
  const target = words.at(-1)
  const sources = words.slice(0, -1)
  if (target === undefined || sources.length === 0) throw new DockerfileError(line, `${keyword} needs a source and a destination`)
  return {
    line,
    keyword,
    title,
    sources: sources.filter((source) => !source.startsWith('<<')),
    documents: documents.map(({name, content, expands}) => ({name, content: expands ? expandLines(content, lookup) : content})),
    destination: posix.resolve(directory, target),
    intoDirectory: target.endsWith('/') || target === '.' || sources.length > 1,
    ...copyOptions(instruction, expand),
  }
}

const copyOptions = ({line, keyword, flags}: Instruction, expand: Expand): Pick<CopyRequest, 'owner' | 'mode'> => {
  const options: {owner?: string; mode?: number} = {}
  for (const {name, value} of flags) {
    if (name === 'chown') options.owner = expand(value)
    else if (name === 'chmod' && /^0?[0-7]{3,4}$/.test(expand(value))) options.mode = Number.parseInt(expand(value), 8)
    else if (name === 'from') throw new DockerfileError(line, `${keyword} --from copies from another stage or image, which a VM has not`)
    // --link is about layers.
    else if (name !== 'link') throw new DockerfileError(line, `${keyword} --${name}${value === '' ? '' : `=${value}`} is not supported`)
  }
  return options
}

/** In a here-document quotes are characters like others. */
const expandLines = (content: string, lookup: Lookup): string =>
  content.replaceAll(/\\\$|\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/g, (whole, plain?: string, braced?: string) =>
    whole === String.raw`\$` ? '$' : (lookup(plain ?? braced ?? '') ?? ''),
  )

/**
 * The steps of one COPY or ADD. A directory gives its content, a file itself (Dockerfile reference, "COPY").
 * @param warn called with what a pattern found that cannot be copied
 * @throws DockerfileError for a source that is not there, or that ADD would fetch or unpack
 */
export const copySteps = async (request: CopyRequest, context: Context, warn: (message: string) => void): Promise<OwnStep[]> => {
  const {destination, line} = request
  const groups = await Promise.all(request.sources.map((source) => sourceSteps(request, source, {context, warn})))
  const fromFiles = groups.flat()
  const many = request.intoDirectory || fromFiles.length + request.documents.length > 1
  if (fromFiles.length > 1 && !request.intoDirectory) {
    throw new DockerfileError(line, `${request.keyword} has several sources, so its destination must end with /`)
  }
  return [
    ...fromFiles,
    ...request.documents.map(({name, content}) => documentStep(request, content, many ? posix.join(destination, name) : destination)),
  ]
}

const sourceSteps = async (
  request: CopyRequest,
  source: string,
  {context, warn}: {readonly context: Context; readonly warn: (message: string) => void},
): Promise<OwnStep[]> => {
  const {keyword, line, destination, intoDirectory} = request
  if (/^(?:[a-z][a-z0-9+.-]*:\/\/|git@)/i.test(source)) {
    throw new DockerfileError(line, `${keyword} of a URL is not supported: fetch it with RUN`)
  }
  if (keyword === 'ADD' && /\.(?:tar|tar\.\w+|tgz|tbz2|txz)$/.test(source)) {
    throw new DockerfileError(line, `ADD would unpack ${source}, which is not supported: COPY it, and unpack it with RUN`)
  }
  const {found, unfit} = await findSources(context, source)
  if (found.length === 0 && unfit.length > 0) throw new DockerfileError(line, `${unfit.join(', ')}, which cannot be copied`)
  for (const one of unfit) warn(`line ${line}: ${one} and is left out`)
  if (found.length === 0) throw new DockerfileError(line, `${source} is not in ${context.directory}, or .dockerignore leaves it out`)
  return found.map(({name, path, isDirectory}) => {
    const ignore = isDirectory ? dockerignoreBelow(context.patterns, path) : []
    const into = intoDirectory || found.length > 1
    return fileStep(request, {
      source: join(context.directory, path),
      destination: !isDirectory && into ? posix.join(destination, name) : destination,
      ...(ignore.length > 0 && {ignore, ignoreRules: 'dockerignore'}),
    })
  })
}

const fileStep = (
  {title, owner, mode}: CopyRequest,
  settings: Pick<FileSettings, 'destination' | 'ignore' | 'ignoreRules' | 'source'>,
): OwnStep => ({
  type: 'file',
  run: 'on-change',
  title,
  settings: {...settings, privileged: true, owner: owner ?? 'root:root', ...(mode !== undefined && {mode})},
})

const documentStep = ({title, owner, mode}: CopyRequest, content: string, destination: string): OwnStep => {
  const path = quote(destination)
  const commands = [
    `mkdir -p -- ${quote(posix.dirname(destination))}`,
    `printf %s ${quote(content)} >${path}`,
    `chmod ${(mode ?? 0o644).toString(8)} ${path}`,
    ...(owner === undefined ? [] : [`chown ${quote(owner)} ${path}`]),
  ]
  return {
    type: 'shell',
    run: 'on-change',
    title,
    settings: {inline: commands.join(' && '), args: [], env: {}, privileged: true},
  }
}

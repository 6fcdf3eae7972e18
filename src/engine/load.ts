import {examineSeedFile} from '../guest/seed/user-data.ts'
import {type ReadDockerfile, readOnce} from '../provision/dockerfile/index.ts'
import {isFailure} from '../model/errors.ts'
import {
  discoverVmfile,
  type LoadOptions,
  loadVmfile as load,
  parseVmfile as parse,
  type ParseOptions,
  type Vmfile as ReadFile,
} from '../vmfile/index.ts'
import {backendNodes, type Engine, ownBackendNodes} from './engine.ts'
import {neighbourOf} from './neighbours.ts'

/**
 * Finds the VMFile as `discoverVmfile` does. Where none is, a file that was probably meant is named, with what to do about it.
 * @throws VmctlError `vmctl::vmfile::not_found`
 */
export const findVmfile = (explicit: string | undefined, directory: string, env: NodeJS.ProcessEnv): string => {
  try {
    return discoverVmfile(explicit, directory, env)
  } catch (error) {
    const neighbour = explicit || env.VMCTL_FILE ? undefined : neighbourOf(directory)
    throw neighbour && isFailure(error, 'vmctl::vmfile::not_found') ? error.reword({help: neighbour.advice}) : error
  }
}

export interface Vmfile extends ReadFile {
  /** Knows the Dockerfiles that were read with the file, so that whatever is done with it goes by one reading. */
  readonly readDockerfile?: ReadDockerfile
}

/** `loadVmfile` of vmfile/ with the nodes of vmctl's own backends, unless others are given. */
export const loadVmfile = (path: string, options: LoadOptions = {}): Promise<ReadFile> =>
  load(path, {backends: ownBackendNodes, ...options})

/** The same from a text. */
export const parseVmfile = (text: string, options: ParseOptions): Promise<ReadFile> => parse(text, {backends: ownBackendNodes, ...options})

/** Reads a VMFile with everything that the plugins add to the language. */
export const readVmfile = async (engine: Engine, path: string, {toleratesMissing = false} = {}): Promise<Vmfile> => {
  const provisionTypes = new Map([...engine.provisioners].map(([type, part]) => [type, part.parse?.bind(part)] as const))
  const imageSchemes = engine.images.sources.flatMap((source) => source.schemes)
  const catalogue = (await engine.catalogue()).publishers
  const readDockerfile = readOnce(engine.readDockerfile)
  const backends = backendNodes(engine)
  const vmfile = await load(path, {
    backends,
    provisionTypes,
    imageSchemes,
    catalogue,
    toleratesMissing,
    env: engine.env,
    home: engine.home,
    readDockerfile,
    examineSeedFile,
  })
  return {...vmfile, readDockerfile}
}

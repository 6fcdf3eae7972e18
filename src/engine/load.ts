import {examineSeedFile} from '../guest/seed/user-data.ts'
import {type ReadDockerfile, readOnce} from '../provision/dockerfile/index.ts'
import {loadVmfile, type Vmfile as ReadFile} from '../vmfile/index.ts'
import type {Engine} from './engine.ts'

export {discoverVmfile} from '../vmfile/index.ts'

export interface Vmfile extends ReadFile {
  /** Knows the Dockerfiles that were read with the file, so that whatever is done with it goes by one reading. */
  readonly readDockerfile?: ReadDockerfile
}

/** Reads a VMFile with everything that the plugins add to the language. */
export const readVmfile = async (engine: Engine, path: string, {toleratesMissing = false} = {}): Promise<Vmfile> => {
  const builtIn = new Set(['shell', 'file', 'reboot'])
  const provisionTypes = new Map(
    [...engine.provisioners].filter(([type]) => !builtIn.has(type)).map(([type, part]) => [type, part.parse.bind(part)] as const),
  )
  const imageSchemes = engine.images.sources.flatMap((source) => source.schemes)
  const catalogue = (await engine.catalogue()).publishers
  const readDockerfile = readOnce(engine.readDockerfile)
  const vmfile = await loadVmfile(path, {
    provisionTypes,
    imageSchemes,
    catalogue,
    toleratesMissing,
    env: engine.env,
    readDockerfile,
    examineSeedFile,
  })
  return {...vmfile, readDockerfile}
}

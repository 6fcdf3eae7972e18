import {examineSeedFile} from '../guest/seed/user-data.ts'
import {readDockerfile} from '../provision/dockerfile/index.ts'
import {loadVmfile, type Vmfile} from '../vmfile/index.ts'
import type {Engine} from './engine.ts'

export {discoverVmfile, type Vmfile} from '../vmfile/index.ts'

/** Reads a VMFile with everything that the plugins add to the language. */
export const readVmfile = (engine: Engine, path: string, {toleratesMissing = false} = {}): Promise<Vmfile> => {
  const builtIn = new Set(['shell', 'file', 'reboot'])
  const provisionTypes = new Map(
    [...engine.provisioners].filter(([type]) => !builtIn.has(type)).map(([type, part]) => [type, part.parse.bind(part)] as const),
  )
  const imageSchemes = engine.images.sources.flatMap((source) => source.schemes)
  return loadVmfile(path, {provisionTypes, imageSchemes, toleratesMissing, env: engine.env, readDockerfile, examineSeedFile})
}

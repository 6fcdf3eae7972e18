import {dirname} from 'node:path'

import type {DockerfileSpec} from '../model/stack.ts'
import {type Context, resolveExisting} from './context.ts'
import type {Located} from './shapes.ts'

interface ReadDockerfile {
  readonly path: Located<string>
  readonly context: Located<string> | undefined
  readonly buildArgs: ReadonlyMap<string, Located<string>>
}

/** Resolves the paths of a Dockerfile; what is in it is read when it is applied. */
export const buildDockerfile = async (read: ReadDockerfile, context: Context): Promise<DockerfileSpec> => {
  const path = await resolveExisting(read.path, 'Dockerfile', context)
  return {
    path,
    context: read.context ? await resolveExisting(read.context, 'context', context, 'directory') : dirname(path),
    buildArgs: Object.fromEntries([...read.buildArgs].map(([name, {value}]) => [name, value])),
  }
}

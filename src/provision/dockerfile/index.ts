import {readFile} from 'node:fs/promises'

import {ioError} from '../../host/files.ts'
import {VmctlError} from '../../model/errors.ts'
import type {DockerfileSpec} from '../../model/stack.ts'
import {openContext} from './context.ts'
import {DockerfileError, parseDockerfile} from './parse.ts'
import {type DockerfilePlan, dockerfileSteps} from './steps.ts'

export type {DockerfilePlan} from './steps.ts'

/**
 * Reads a Dockerfile and says what it comes to in a VM.
 * @throws VmctlError `vmctl::provision::dockerfile_invalid` with its path and line, or `vmctl::io`
 */
export const readDockerfile = async ({path, context, buildArgs}: DockerfileSpec): Promise<DockerfilePlan> => {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw ioError('read', path, error)
  })
  try {
    return await dockerfileSteps(parseDockerfile(text), {buildArgs, context: await openContext(context, path)})
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error
    throw new VmctlError('vmctl::provision::dockerfile_invalid', `${path}:${error.line}: ${error.message}.`, {
      details: {path, line: error.line},
    })
  }
}

import {readFile} from 'node:fs/promises'

import {ioError} from '../../host/files.ts'
import {VmctlError} from '../../model/errors.ts'
import type {DockerfileSpec} from '../../model/dockerfile.ts'
import {openContext} from './context.ts'
import {DockerfileError, parseDockerfile} from './parse.ts'
import {type DockerfilePlan, dockerfileSteps} from './steps.ts'

export type {DockerfilePlan} from './steps.ts'

export type ReadDockerfile = (spec: DockerfileSpec) => Promise<DockerfilePlan>

/** A reader that reads each Dockerfile once (with one context and the same arguments), and says the same of it from then on. */
export const readOnce = (read: ReadDockerfile = readDockerfile): ReadDockerfile => {
  const plans = new Map<string, Promise<DockerfilePlan>>()
  return (spec) => {
    const {path, context, buildArgs} = spec
    const key = JSON.stringify([path, context, Object.entries(buildArgs).toSorted(([a], [b]) => (a < b ? -1 : 1))])
    const known = plans.get(key)
    if (known) return known
    const plan = read(spec)
    plans.set(key, plan)
    // One that could not be read may be mended.
    plan.catch(() => plans.delete(key))
    return plan
  }
}

/**
 * Reads a Dockerfile and says what it comes to in a VM.
 * @throws VmctlError `vmctl::provision::dockerfile_invalid` with its path and line, or `vmctl::io`
 */
export const readDockerfile: ReadDockerfile = async ({path, context, buildArgs}) => {
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

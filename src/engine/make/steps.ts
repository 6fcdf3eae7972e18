import {dirname} from 'node:path'

import type {CloudCommand} from '../../model/cloud-init.ts'
import type {DockerfileSpec} from '../../model/dockerfile.ts'
import {quoteAll} from '../../model/quote.ts'
import {isStepOf, type ProvisionStep} from '../../model/steps.ts'
import type {VmSpec} from '../../model/vm.ts'
import {readDockerfile, type ReadDockerfile, readOnce} from '../../provision/dockerfile/index.ts'
import {type PreparedStep, prepareSteps} from '../../provision/run/declare.ts'
import type {Engine} from '../engine.ts'
import {sshUser} from '../reach/identity.ts'

const readerOf = (engine: Engine): ReadDockerfile => engine.readDockerfile ?? readDockerfile

/** The engine for one verb, which reads each Dockerfile once, or not at all when `reader` knows it. */
export const readingOnce = (engine: Engine, reader?: ReadDockerfile): Engine => ({
  ...engine,
  readDockerfile: reader ?? readOnce(engine.readDockerfile),
})

/** The provision steps of a spec, ready to run. Reads the local files that they name. */
export const stepsOf = async (engine: Engine, spec: VmSpec, vmfilePath?: string): Promise<PreparedStep[]> =>
  prepareSteps(await declaredSteps(spec, readerOf(engine)), engine.provisioners, {
    user: sshUser({spec}),
    env: spec.env,
    ...(vmfilePath !== undefined && {directory: dirname(vmfilePath)}),
  })

/**
 * The steps of a spec in their order: those of its own Dockerfile, then what cloud-init would run at the end of the first boot and
 * a Dockerfile must precede, then the declared ones, with a Dockerfile among them replaced by its instructions.
 */
const declaredSteps = async ({dockerfile, cloudInit, provision}: VmSpec, read: ReadDockerfile): Promise<readonly ProvisionStep[]> => {
  const declared = await Promise.all(
    provision.map(async (step) => {
      const inner = dockerfileOf(step)
      if (!inner) return [step]
      const {steps} = await read(inner)
      const {run, cache} = step
      return steps.map((one) => ({...one, ...(run !== undefined && {run}), ...(cache !== undefined && {cache})}))
    }),
  )
  if (!dockerfile) return declared.flat()
  const {steps} = await read(dockerfile)
  return [...steps, ...(cloudInit?.runCommands ?? []).map(commandStep), ...declared.flat()]
}

const commandStep = (command: CloudCommand): ProvisionStep => {
  const inline = typeof command === 'string' ? command : quoteAll(command)
  return {type: 'shell', run: 'once', title: `runcmd: ${inline}`, settings: {inline, args: [], env: {}, privileged: true}}
}

const dockerfileOf = (step: ProvisionStep): DockerfileSpec | undefined => (isStepOf(step, 'dockerfile') ? step.settings : undefined)

/** What the Dockerfiles of a spec set for every log-in; the later ones win. */
export const dockerfileEnvironment = async (engine: Engine, {dockerfile, provision}: VmSpec): Promise<Readonly<Record<string, string>>> => {
  const all = [dockerfile, ...provision.map(dockerfileOf)].filter((one) => one !== undefined)
  const plans = await Promise.all(all.map(readerOf(engine)))
  return Object.assign({}, ...plans.map(({environment}) => environment))
}

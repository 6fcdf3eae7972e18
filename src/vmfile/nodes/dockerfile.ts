import {dirname} from 'node:path'

import {messageOf} from '../../model/errors.ts'
import type {DockerfileSpec} from '../../model/dockerfile.ts'
import {always} from '../grammar/change.ts'
import {anyText, path} from '../grammar/kinds.ts'
import {block, field, type Located, pairs, required} from '../grammar/shapes.ts'
import {variableName} from '../grammar/words.ts'
import {type Context, resolveExisting} from '../resolve/context.ts'
import {lookAt} from '../resolve/local-files.ts'

export const buildArguments = pairs(anyText, variableName, 'Values of its ARG instructions.')

export const buildContext = field(path('"."'), 'Directory that COPY and ADD start from; that of the Dockerfile when absent.')

export const dockerfileNode = block(
  'A Dockerfile that sets up the guest at its first boot; FROM is the image unless the VM has one.',
  {argument: required(path('"./Dockerfile"'), 'Path of the Dockerfile.')},
  {context: buildContext, 'build-arg': buildArguments},
)

interface WrittenDockerfile {
  readonly path: Located<string>
  readonly context: Located<string> | undefined
  readonly buildArgs: ReadonlyMap<string, Located<string>>
}

export interface BuiltDockerfile {
  readonly spec: DockerfileSpec
  /** What FROM names; absent when the Dockerfile is not there or cannot be used, which was reported. */
  readonly image?: Located<string>
}

/** Resolves the paths of a Dockerfile and reads it, so that what is wrong with it is known before a VM is made. */
export const buildDockerfile = async (written: WrittenDockerfile, context: Context): Promise<BuiltDockerfile> => {
  const path = await resolveExisting(written.path, 'Dockerfile', context)
  const folder = written.context ? await resolveExisting(written.context, 'context', context, 'directory') : dirname(path)
  const spec = {path, context: folder, buildArgs: Object.fromEntries([...written.buildArgs].map(([name, {value}]) => [name, value]))}
  const [file, around] = await Promise.all([lookAt(path), lookAt(folder)])
  const image = file.kind === 'file' && around.kind === 'directory' ? await readImage(spec, written.path, context) : undefined
  return {spec, ...(image && {image})}
}

const readImage = async (
  spec: DockerfileSpec,
  place: Located<string>,
  {readDockerfile, report}: Context,
): Promise<Located<string> | undefined> => {
  if (!readDockerfile) {
    report.error(place, 'Dockerfiles cannot be read here', 'give parseVmfile the option readDockerfile')
    return undefined
  }
  try {
    const {base, warnings} = await readDockerfile(spec)
    for (const warning of warnings) report.warning(place, inOneLine(warning))
    return {...place, value: base}
  } catch (error) {
    report.error(
      place,
      `this Dockerfile cannot be used: ${inOneLine(messageOf(error).replace(`${spec.path}:`, 'line ')).replace(/\.$/, '')}`,
    )
    return undefined
  }
}

/** What a Dockerfile says is not to be trusted with a terminal. */
const inOneLine = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ')

export const dockerfileChange = always<'dockerfile'>('now', 'dockerfile')

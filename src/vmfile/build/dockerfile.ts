import {dirname} from 'node:path'

import {messageOf} from '../../model/errors.ts'
import type {DockerfileSpec} from '../../model/stack.ts'
import {type Context, resolveExisting} from './context.ts'
import {lookAt} from './local-files.ts'
import type {Located} from '../grammar/shapes.ts'

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

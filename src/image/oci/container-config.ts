import type {Architecture} from '../../model/catalogue.ts'
import {VmctlError} from '../../model/errors.ts'
import {notADisk, objectOf, quotedType} from './document.ts'
import {platformNames} from './media-types.ts'

/**
 * Looks at the configuration of a container image with one layer: before that is fetched, the message can say what else it is.
 * A container disk starts no program.
 * @throws VmctlError `vmctl::image::refused`, `vmctl::image::not_found` when it is for another processor
 */
export const checkContainerConfig = (content: Buffer, architecture: Architecture, shown: string): void => {
  const {config, architecture: platform} = parse(content, shown)
  const {Labels: labels, Cmd: command, Entrypoint: entrypoint} = objectOf(config)
  if (['containers.bootc', 'ostree.bootable'].some((label) => Object.hasOwn(objectOf(labels), label)))
    throw notADisk(shown, 'a bootable container (bootc), of which bootc-image-builder makes a disk')
  const program = [entrypoint, command].flatMap((words) => (Array.isArray(words) ? words : []))[0]
  if (program !== undefined) throw notADisk(shown, `an ordinary container image, which starts ${quotedType(String(program))}`)
  if (typeof platform === 'string' && platform !== '' && platform !== platformNames[architecture]) {
    throw new VmctlError('vmctl::image::not_found', `${shown} has no disk for ${architecture}.`, {
      help: `It is for ${quotedType(platform)}.`,
      details: {source: shown, architecture},
    })
  }
}

const parse = (content: Buffer, shown: string): Readonly<Record<string, unknown>> => {
  try {
    return objectOf(JSON.parse(content.toString('utf8')))
  } catch {
    throw notADisk(shown, 'a container image whose configuration is not JSON')
  }
}

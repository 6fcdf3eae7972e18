import {VmctlError} from '../model/errors.ts'
import {readTar, TarError} from '../host/tar-reader.ts'

export interface MemberChoice {
  /** Called with the name of each file of the archive, without `./` before it. Names are compared and never used as paths. */
  readonly isWanted: (name: string) => boolean
  /** How the user knows the archive, for messages. */
  readonly source: string
}

/**
 * The content of the first file that is wanted of a tar archive, as it streams by; nothing of the archive gets a name on the host.
 * What follows that file is not read.
 * @throws VmctlError `vmctl::image::refused` when the archive is damaged, holds what no archive of an image has (devices, pipes),
 *   or no such file
 */
export async function* tarMember(archive: AsyncIterable<Buffer>, {isWanted, source}: MemberChoice): AsyncGenerator<Buffer> {
  const seen: string[] = []
  try {
    for await (const {name, type, content} of readTar(archive, {sparse: true})) {
      const plain = name.replace(/^(?:\.\/)+/, '')
      if (type === 'file' && isWanted(plain)) {
        yield* content
        return
      }
      if (seen.length < 5) seen.push(plain)
    }
  } catch (error) {
    throw error instanceof TarError ? refusedArchive(source, `its archive cannot be read: ${error.message}`) : error
  }
  throw refusedArchive(
    source,
    `there is no disk in its archive, which holds ${seen.map((name) => JSON.stringify(name)).join(', ') || 'nothing'}`,
  )
}

export const refusedArchive = (source: string, reason: string): VmctlError =>
  new VmctlError('vmctl::image::refused', `The image ${source} is refused: ${reason}.`, {
    help: 'Unpack the archive and give the disk in it, if there is one.',
    details: {source, reason},
  })

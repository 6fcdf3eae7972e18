import {readTar, TarError, type TarMember} from '../../host/tar-reader.ts'
import {isFailure} from '../../model/errors.ts'
import {unsafePath} from '../../model/safe-path.ts'
import {contentOf, writeDisk} from '../archive-stream.ts'
import {readHead} from '../audit.ts'
import {createDigester, type Digests} from '../checksum.ts'
import {detectCompression} from '../compression.ts'
import {storageError} from '../storage-error.ts'
import {refusedArchive} from '../tar-member.ts'
import {notADisk} from './document.ts'

export interface UnpackOptions {
  readonly signal: AbortSignal
  /** How the user knows the image. */
  readonly shown: string
}

/** What is not the disk (a list of users, say) is small, or it is no container disk. */
const limits = {otherBytes: 64 * 2 ** 20, members: 10_000}

/**
 * Takes the disk out of the layer of a container disk: the one file below `disk/`. Nothing of the archive gets a name on the host,
 * and all of it is read, so that nothing else hides behind the disk. Links, devices, absolute names and names that lead upwards are refused.
 * @param destination a new file
 * @throws VmctlError `vmctl::image::refused`, `vmctl::image::decompression_failed`, `vmctl::image::no_space`
 */
export const unpackDisk = async (layer: string, destination: string, options: UnpackOptions): Promise<WrittenDisk> => {
  const {signal, shown} = options
  const {head} = await readHead(layer, 64)
  try {
    return await findDisk(contentOf({path: layer, compression: detectCompression('', head)}, {signal}), destination, options)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof TarError) throw refusedArchive(shown, error.message)
    if (isFailure(error, 'vmctl::image::decompression_failed'))
      throw error.reword({message: `Cannot decompress ${shown}: ${error.message}`})
    throw storageError(error, 'unpack the disk into', destination)
  }
}

interface WrittenDisk {
  readonly digests: Digests
  readonly sizeBytes: number
}

const findDisk = async (tar: AsyncIterable<Buffer>, destination: string, {signal, shown}: UnpackOptions): Promise<WrittenDisk> => {
  let disk: WrittenDisk | undefined
  let diskName = ''
  let otherBytes = 0
  let count = 0
  for await (const member of readTar(tar)) {
    const name = nameOf(member, shown)
    count += 1
    if (count > limits.members) throw notADisk(shown, 'an ordinary container image, with thousands of files')
    if (member.type !== 'file') continue
    if (/^disk\/[^/]+$/.test(name)) {
      if (disk) throw refusedArchive(shown, `it has two disks, ${JSON.stringify(diskName)} and ${JSON.stringify(name)}`)
      const digester = createDigester()
      const sizeBytes = await writeDisk(member.content, destination, {signal, onChunk: (chunk) => digester.update(chunk)})
      disk = {digests: digester.finish(), sizeBytes}
      diskName = name
      continue
    }
    for await (const chunk of member.content) {
      otherBytes += chunk.length
      if (otherBytes > limits.otherBytes) throw notADisk(shown, 'an ordinary container image, with large files that are no disk')
    }
  }
  if (disk) return disk
  throw notADisk(shown, 'an ordinary container image, without a disk in its directory /disk')
}

const nameOf = ({name: given, type, target}: TarMember, shown: string): string => {
  const name = given.replace(/^(?:\.\/)+/, '').replace(/\/$/, '')
  const reason = name === '' || name === '.' ? undefined : unsafePath(name)
  if (reason !== undefined) throw refusedArchive(shown, `it has the name ${JSON.stringify(given)}: ${reason}`)
  if (type === 'file' || type === 'directory') return name
  throw refusedArchive(shown, `${JSON.stringify(given)} is a link to ${JSON.stringify(target)}, and a container disk has none`)
}

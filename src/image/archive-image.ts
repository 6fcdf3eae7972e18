import {realpath, stat} from 'node:fs/promises'

import {ioError} from '../host/files.ts'
import {hashFile} from '../host/hash.ts'
import {systemCode, VmctlError} from '../model/errors.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import {readHead} from './audit.ts'
import {verifyDigests} from './checksum.ts'
import {detectCompression, isTar} from './compression.ts'

const headBytes = 512

/**
 * The archive that a container is made from: a file of this host, compared with the digests that are declared, and used as it is.
 * @throws VmctlError `vmctl::image::not_found`, `vmctl::image::checksum_mismatch`, `vmctl::image::refused`
 */
export const ensureArchive = async ({kind, source, ...expected}: ImageReference): Promise<BaseImage> => {
  if (kind !== 'file') {
    throw new VmctlError('vmctl::image::refused', `A container cannot be made from ${source}: its image has to be a file of this host.`, {
      help: 'Download it, and name the file: image "./debian.tar.xz".',
    })
  }
  const path = await realpath(source).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') throw new VmctlError('vmctl::image::not_found', `There is no image at ${source}.`, {cause: error})
    throw ioError('find the image', source, error)
  })
  const {head} = await readHead(path, headBytes)
  const isSquashfs = head.toString('latin1', 0, 4) === 'hsqs'
  if (!isSquashfs && !isTar(head) && detectCompression(path, head) === undefined) {
    throw new VmctlError('vmctl::image::refused', `${source} is no archive, and a container wants one with a root file system.`, {
      help: 'Name a squashfs of a root file system, or an archive as Incus has them: metadata.yaml and rootfs/ in a tar.',
    })
  }
  const sha256 = await hashFile(path)
  const digests = {sha256, sha512: expected.sha512 === undefined ? '' : await hashFile(path, 'sha512')}
  verifyDigests(source, expected, digests)
  return {path, format: 'raw', virtualSizeBytes: (await stat(path)).size, sha256, isArchive: true}
}

import {stat} from 'node:fs/promises'
import {basename, dirname, join, resolve} from 'node:path'

import {rename, syncDirectory} from '../host/durable.ts'
import type {ImageReference} from '../model/vm.ts'
import {fetchDisk} from './fetch-disk.ts'
import {type ImageSource, sourceFor} from './image-source.ts'
import type {EnsureOptions} from './image-store.ts'
import {removePartial} from './partial.ts'
import {storageError} from './storage-error.ts'
import {displayUrl, parseImageUrl} from './url.ts'

/**
 * Downloads an image to a path of the caller's choice, outside of the cache: verified, decompressed and audited like any other.
 * Does nothing when the destination exists. One caller at a time per destination; a cut download is continued by the next call.
 * @returns whether anything was downloaded
 * @throws VmctlError `vmctl::image::…`
 */
export const downloadImage = async (
  sources: readonly ImageSource[],
  job: {readonly reference: ImageReference; readonly destination: string},
  options: EnsureOptions,
): Promise<boolean> => {
  const destination = resolve(job.destination)
  if (
    await stat(destination).then(
      () => true,
      () => false,
    )
  )
    return false
  const url = parseImageUrl(job.reference.source)
  const partial = join(dirname(destination), `.${basename(destination)}.part`)
  const disk = await fetchDisk(sourceFor(sources, url), {reference: job.reference, partial}, {...options, displayName: displayUrl(url)})
  try {
    await rename(disk.path, destination)
    await syncDirectory(dirname(destination))
  } catch (error) {
    throw storageError(error, 'write', destination)
  }
  await removePartial(partial)
  return true
}

import {join} from 'node:path'

import {readIfExists, writeFileAtomic, makePrivateDirectory} from '../../host/files.ts'
import {debug} from '../../model/debug.ts'
import {isVmctlError, VmctlError} from '../../model/errors.ts'
import {fill} from './words.ts'

/** An armored key that has the fingerprint, or undefined. */
type Choose = (bytes: Uint8Array, fingerprint: string) => Promise<string | undefined>

export interface KeyPlace {
  /** Where keys are kept once they were fetched. */
  readonly directory: string
  /** Reads a URL in full. */
  readonly read: (url: URL) => Promise<Uint8Array>
  readonly choose: Choose
}

/** Both serve a key by its fingerprint. Whoever serves it, only a key with the pinned fingerprint is taken. */
const keyservers = [
  'https://keys.openpgp.org/vks/v1/by-fingerprint/{fingerprint}',
  'https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x{fingerprint}',
]

/**
 * The key of a fingerprint, from the cache or else from its publisher, or a key server. It is trusted for its fingerprint, which was
 * known beforehand, and not for the place that it came from.
 * @param fresh whether the copy in the cache is passed over: keys get new subkeys and new dates
 * @throws VmctlError `vmctl::image::key_unusable`
 */
export const fetchKey = async (
  {fingerprint, url, fresh = false}: {readonly fingerprint: string; readonly url: string; readonly fresh?: boolean},
  {directory, read, choose}: KeyPlace,
): Promise<string> => {
  const path = join(directory, `${fingerprint}.asc`)
  const cached = fresh ? undefined : await readIfExists(path)
  const known = cached === undefined ? undefined : await choose(Buffer.from(cached), fingerprint)
  if (known !== undefined) return known
  const problems: string[] = []
  for (const place of new Set([url, ...keyservers].map((each) => fill(each, {fingerprint})))) {
    try {
      const key = await choose(await read(new URL(place)), fingerprint)
      if (key !== undefined) {
        await makePrivateDirectory(directory)
        await writeFileAtomic(path, key)
        return key
      }
      problems.push(`${place} has no key with this fingerprint.`)
    } catch (error) {
      if (!isVmctlError(error)) throw error
      debug('image', () => `${place}: ${error.message}`)
      problems.push(error.message)
    }
  }
  throw new VmctlError(
    'vmctl::image::key_unusable',
    `The key ${fingerprint} cannot be had:\n${problems.map((one) => `  ${one}`).join('\n')}`,
    {
      help: `Get the key from its publisher by another way, and put it here: ${path}. Only a key with this fingerprint is taken.`,
      details: {fingerprint, path},
    },
  )
}

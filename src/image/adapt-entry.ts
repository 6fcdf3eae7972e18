import type {Trust} from '../model/catalogue.ts'
import type {ImageReference} from '../model/vm.ts'
import {auditImage} from './audit.ts'
import {findMismatch} from './checksum.ts'
import {updateEntry} from './commit.ts'
import {baseImageOf, type CacheEntry, readEntries} from './entries.ts'
import {verifierOf} from './find-entry.ts'
import type {ImageSource} from './image-source.ts'
import type {EnsuredImage, EnsureOptions, ImageStore} from './image-store.ts'
import {strongest, trustOf, trustOfUrl} from './trust.ts'
import {printableName} from './url.ts'

interface RemoteJob {
  readonly reference: ImageReference
  readonly imageSource: ImageSource
  /** Of the entries that count; all of them when empty. */
  readonly key: string
}

/** A converted disk that is taken for raw would be other bytes than those that were published. */
const canAnswer = ({published, disk}: CacheEntry, reference: ImageReference): boolean =>
  !findMismatch(reference, published) && !(disk?.isConverted && reference.format === 'raw')

/**
 * Makes an entry answer a reference that says more than the one it was fetched for: another format is audited again, a checksum
 * URL is asked for its list alone. Nothing is downloaded, as long as the publication is the same.
 */
export const adapt = async (store: ImageStore, job: RemoteJob, options: EnsureOptions): Promise<EnsuredImage | undefined> => {
  const {reference, imageSource, key} = job
  const {entries} = await readEntries(store, key)
  const verifiers = verifierOf(reference)
  for (const entry of entries) {
    const image = await baseImageOf(store, entry)
    if (!image || !entry.disk || !canAnswer(entry, reference)) continue
    if (!verifiers.every((verifier) => entry.verifiedBy.includes(verifier))) {
      const published = await imageSource.publishedDigests?.(reference, options)
      if (!published || findMismatch(published, entry.published)) continue
    }
    const audited = await auditImage(image.path, {declaredFormat: reference.format, signal: options.signal, source: entry.source})
    const adapted: CacheEntry = {
      ...entry,
      name: printableName(options.name ?? entry.name),
      verifiedBy: [...new Set([...entry.verifiedBy, ...verifiers])],
      trust: trustNow(entry, job),
      disk: {...entry.disk, ...audited, isDeclaredRaw: reference.format === 'raw'},
    }
    await updateEntry(store, entry, adapted)
    return {image: {...image, ...audited}, source: entry.source, isFresh: false}
  }
  return undefined
}

/** That a lock file has the digest says nothing about where it came from. */
const trustNow = (entry: CacheEntry, {key, reference}: RemoteJob): Trust =>
  key === '' ? trustOf(entry) : strongest(trustOf(entry), trustOfUrl(reference))

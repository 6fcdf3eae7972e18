import {remove} from '../host/durable.ts'
import type {Trust} from '../model/catalogue.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import type {Algorithm} from './checksum.ts'
import {commitDisk} from './commit.ts'
import {fetchDisk, unpackedPaths} from './fetch-disk.ts'
import type {ImageSource} from './image-source.ts'
import {type EnsureOptions, imageFiles, type ImageStore} from './image-store.ts'
import {removePartial} from './partial.ts'
import {displayUrl, fileNameOf, printableName} from './url.ts'

export interface FetchEntryJob {
  readonly reference: ImageReference
  readonly imageSource: ImageSource
  /** Names the entry, and what is on its way. */
  readonly key: string
  readonly url: URL
  /** What the entry came from, for people; the URL when absent. */
  readonly source?: string
  readonly verifiedBy: readonly string[]
  readonly trust: Trust
  /** In which algorithms the publisher lists it. */
  readonly listed?: readonly Algorithm[]
}

/** Fetches an image into the cache. The caller holds the lock of its key. */
export const fetchEntry = async (store: ImageStore, job: FetchEntryJob, options: EnsureOptions): Promise<BaseImage> => {
  const {reference, key, url} = job
  const partial = imageFiles.partial(store, key)
  const source = displayUrl(url)
  using _turn = await store.turns?.take(url.host, {...options, onWait: () => options.onEvent?.({type: 'image.queued', source})})
  const disk = await fetchDisk(job.imageSource, {reference, partial}, {...options, displayName: source, isPlain: true})
  const {digests, sizeBytes, etag, lastModified, name, label, pinned} = disk.fetched
  const entry = {
    key,
    source: job.source ?? source,
    ...(job.source !== undefined && {url: source}),
    ...(pinned !== undefined && {pinned}),
    name: printableName(options.name ?? label ?? (name || fileNameOf(url))),
    published: {...digests, sizeBytes, ...(etag === undefined ? {} : {etag}), ...(lastModified === undefined ? {} : {lastModified})},
    verifiedBy: job.verifiedBy,
    ...(job.listed && {listed: job.listed}),
    trust: job.trust,
    fetchedAt: new Date().toISOString(),
  }
  const image = await commitDisk(store, {disk: {...disk, isDeclaredRaw: reference.format === 'raw'}, entry}, options.signal)
  for (const path of unpackedPaths(partial)) await remove(path)
  await removePartial(partial)
  return image
}

import {createHash} from 'node:crypto'

import {acquireLock} from '../host/lock.ts'
import {isFailure, messageOf, VmctlError} from '../model/errors.ts'
import type {BaseImage, ImageReference} from '../model/vm.ts'
import {algorithmsOf, type ExpectedDigests, findMismatch} from './checksum.ts'
import {updateEntry} from './commit.ts'
import {baseImageOf, type CacheEntry, readEntries} from './entries.ts'
import {fetchEntry} from './fetch-entry.ts'
import {cachedImage, findExact, fitsFormat} from './find-entry.ts'
import {oneOfSeveral, sourceFor} from './image-source.ts'
import {type EnsuredImage, type EnsureOptions, imageFiles, type ImageStore, type ResolvedImage} from './image-store.ts'
import {sweepPartials} from './sweep.ts'
import {strongest, trustOf} from './trust.ts'
import {displayUrl, fileNameOf, parseImageUrl, printableName} from './url.ts'

/** Names an image of the catalogue in the cache: each processor, and each firmware where that matters, has its own. */
export const nameKey = ({source, architecture = 'x86_64', firmware}: ImageReference): string =>
  createHash('sha256')
    .update(`name ${source} ${architecture} ${firmware ?? ''}`)
    .digest('hex')

/**
 * An image by its name: what the cache has of it, without asking anybody, unless that is wanted; else its publisher is asked which
 * build there is now. Bytes that are in the cache already, under whatever name, are not fetched again.
 */
export const ensureNamedImage = async (store: ImageStore, reference: ImageReference, options: EnsureOptions): Promise<EnsuredImage> => {
  const key = nameKey(reference)
  const {source} = reference
  const wanted = {reference, key, source}
  const early = options.refresh ? undefined : await cachedImage(store, wanted, options)
  if (early) return early
  if (!store.resolve) throw new VmctlError('vmctl::image::not_found', `Nobody here knows where ${source} is.`)
  await using _lock = await acquireLock(imageFiles.fetchLock(store, key), {
    purpose: `fetching ${source}`,
    timeoutMs: Infinity,
    signal: options.signal,
    onWait: (holder) => options.onEvent?.({type: 'image.waiting', source, holder}),
  })
  const late = options.refresh ? undefined : await cachedImage(store, wanted, options)
  if (late) return late
  const resolved = await lookUp(store, reference, options)
  options.onResolved?.(resolved)
  const same = options.fresh ? undefined : await sameBytes(store, {key, reference, resolved}, options)
  if (same) return {image: same, source, isFresh: false}
  await sweepPartials(store, key)
  return {image: await fetchFirst(store, {key, reference, resolved}, options), source, isFresh: true}
}

interface Job {
  readonly key: string
  readonly reference: ImageReference
  readonly resolved: ResolvedImage
}

const lookUp = async (store: ImageStore, reference: ImageReference, options: EnsureOptions): Promise<ResolvedImage> => {
  const onNotice = (message: string): void => options.onNotice?.(message)
  try {
    const resolved = await store.resolve?.(reference, {signal: options.signal, onNotice})
    if (resolved) return {...resolved, digests: agreed(reference, resolved.digests)}
    throw new Error(`${reference.source} was not looked up.`)
  } catch (error) {
    const old = options.refresh && (await findExact(store, (await readEntries(store, nameKey(reference))).entries, reference))
    if (!old || !isFailure(error, 'vmctl::image::download_failed')) throw error
    throw error.reword({
      help: `The image of ${old.entry.fetchedAt.slice(0, 10)} is in the cache, and new VMs are made from it. ${error.help}`,
    })
  }
}

/** The digests of the list and those that the user declares: all of them must hold, and they must not contradict each other. */
const agreed = (declared: ImageReference, listed: ExpectedDigests): ExpectedDigests => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const own = declared[algorithm]
    if (own === undefined || listed[algorithm] === undefined || own === listed[algorithm]) continue
    throw new VmctlError(
      'vmctl::image::checksum_mismatch',
      `The publisher of ${declared.source} lists another ${algorithm} than the declared one.`,
      {
        help: `A name means the newest build. For one certain build, write its URL with \`image-url\` beside the digest.`,
        details: {source: declared.source, algorithm, expected: own, actual: listed[algorithm]},
      },
    )
  }
  return {
    ...listed,
    ...(declared.sha256 !== undefined && {sha256: declared.sha256}),
    ...(declared.sha512 !== undefined && {sha512: declared.sha512}),
  }
}

/** An entry of the same bytes, wherever they came from, becomes one of this name too. */
const sameBytes = async (store: ImageStore, {key, reference, resolved}: Job, options: EnsureOptions): Promise<BaseImage | undefined> => {
  const {entries} = await readEntries(store)
  for (const entry of entries) {
    if (findMismatch(resolved.digests, entry.published) || !fitsFormat(entry, reference)) continue
    const image = await baseImageOf(store, entry)
    if (!image) continue
    const url = parseImageUrl(resolved.urls.at(-1) ?? '')
    const named: CacheEntry = {
      ...entry,
      key,
      source: reference.source,
      url: displayUrl(url),
      name: printableName(options.name ?? (entry.key === key ? entry.name : fileNameOf(url))),
      listed: algorithmsOf(resolved.digests),
      trust: entry.key === key ? strongest(trustOf(entry), resolved.trust) : resolved.trust,
      // What the publisher offers now is what the name means, although an entry of another build may be younger.
      fetchedAt: new Date().toISOString(),
    }
    await updateEntry(store, entry, named)
    return image
  }
  return undefined
}

/** Fetches from the first place that has it. A mirror that fails, or has other bytes, is passed over, and that is told. */
export const fetchFirst = async (store: ImageStore, {key, reference, resolved}: Job, options: EnsureOptions): Promise<BaseImage> => {
  const {source, format} = reference
  for (const [index, text] of resolved.urls.entries()) {
    const url = parseImageUrl(text)
    const wanted: ImageReference = {kind: 'url', source: text, ...resolved.digests, ...(format !== undefined && {format})}
    const isLast = index === resolved.urls.length - 1
    const place = sourceFor(store.sources, url)
    const where = {imageSource: isLast ? place : oneOfSeveral(place), key, url, source}
    const listed = algorithmsOf(resolved.digests)
    const job = {...where, reference: wanted, verifiedBy: [], listed, trust: resolved.trust}
    try {
      return await fetchEntry(store, job, options)
    } catch (error) {
      if (isLast || !isFailure(error, 'vmctl::image::download_failed', 'vmctl::image::checksum_mismatch')) throw error
      options.onEvent?.({
        type: 'image.retrying',
        source,
        reason: `${messageOf(error)} Trying the ${index === resolved.urls.length - 2 ? 'publisher' : 'next mirror'}.`,
      })
    }
  }
  throw new VmctlError('vmctl::image::not_found', `Nobody has ${source}.`)
}

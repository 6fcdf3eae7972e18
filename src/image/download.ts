import {type FileHandle, open} from 'node:fs/promises'
import {dirname} from 'node:path'

import {freeSpaceBytes} from '../host/disk-space.ts'
import {createSparseWriter} from '../host/sparse-writer.ts'
import {VmctlError} from '../model/errors.ts'
import {connectionFailure, type HttpClient, HttpFailure, type HttpOptions, type HttpResponse, single} from './http-client.ts'
import type {FetchedImage, FetchOptions} from './image-source.ts'
import {loadPartial, type Partial, saveValidators, startOver, type Validators} from './partial.ts'
import {withRetries} from './retry.ts'
import {storageError} from './storage-error.ts'
import {displayUrl} from './url.ts'

export interface DownloadJob extends HttpOptions, FetchOptions {
  readonly client: HttpClient
  readonly url: URL
  /** The file to write; it may hold the start of an earlier download. */
  readonly path: string
  /** Whether the digests will be compared afterwards, so that bad bytes cannot go unnoticed. */
  readonly isVerifiable: boolean
  /** How long the file is, where that is known beforehand; whatever is longer is not the file. */
  readonly limitBytes?: number
}

export interface Downloaded {
  readonly fetched: Omit<FetchedImage, 'name'>
  /** Whether it was put together of several answers, of this run or earlier ones, which may not belong together. */
  readonly isJoined: boolean
}

const minBytesPerIdleTimeout = 1024
const lengthEvery = 8 * 2 ** 20

/**
 * Downloads a file, going on where an earlier attempt was cut, in this run or in one before. Hashes while it writes; flushes at the end.
 * @throws HttpFailure; VmctlError `vmctl::image::no_space`
 */
export const downloadTo = async (job: DownloadJob): Promise<Downloaded> => {
  let partial = await loadPartial(job.path, job)
  let furthest = partial.offset
  const note = (next: Partial): void => {
    partial = next
    furthest = Math.max(furthest, next.offset)
  }
  // 'a' would ignore positions, 'w' would drop the first part.
  await using handle = await open(job.path, 'a', 0o600).then(async (created) => {
    await created.close()
    return open(job.path, 'r+')
  })
  try {
    const isWhole = partial.offset > 0 && partial.offset === partial.validators.totalBytes
    if (!isWhole) await withRetries(async () => attempt(job, {handle, partial, note}), {...job, progress: () => furthest})
    await handle.sync()
  } catch (error) {
    job.signal.throwIfAborted()
    throw storageError(error, 'write', job.path)
  }
  const {etag, lastModified} = partial.validators
  return {
    fetched: {
      digests: partial.digester.finish(),
      sizeBytes: partial.offset,
      ...(etag === undefined ? {} : {etag}),
      ...(lastModified === undefined ? {} : {lastModified}),
    },
    isJoined: partial.isJoined,
  }
}

interface Attempt {
  readonly handle: FileHandle
  readonly partial: Partial
  readonly note: (partial: Partial) => void
}

const attempt = async (job: DownloadJob, {handle, partial: start, note}: Attempt): Promise<void> => {
  await using watch = watchIdle(job.idleTimeoutMs ?? 30_000)
  const signal = AbortSignal.any([job.signal, watch.signal])
  const response = await job.client.get(job.url, requestHeaders(start, job.isVerifiable), signal)
  try {
    const partial = await continueWith(job, response, start)
    if (!partial) {
      note(await startOver(job.path))
      throw new HttpFailure('The file on the server has changed; starting over.', {retry: 'yes'})
    }
    note(partial)
    if (response.status === 416) return
    await checkSpace(job, partial)
    await receive(watch.observe(response.body, job.url), job, {handle, partial, note})
  } catch (error) {
    job.signal.throwIfAborted()
    throw error
  } finally {
    response.body.on('error', () => undefined).destroy()
  }
}

const receive = async (chunks: AsyncIterable<Buffer>, job: DownloadJob, {handle, partial, note}: Attempt): Promise<void> => {
  const {totalBytes} = partial.validators
  const writer = createSparseWriter(handle, partial.offset)
  try {
    for await (const chunk of chunks) {
      if (job.limitBytes !== undefined && partial.offset + chunk.length > job.limitBytes) throw tooLong(job.url, job.limitBytes)
      await writer.write(chunk)
      partial.digester.update(chunk)
      partial.offset += chunk.length
      note(partial)
      // A hole at the end has no length yet, and would be fetched again if we were killed now.
      if (partial.offset % lengthEvery < chunk.length) await writer.finish()
      job.onProgress?.({receivedBytes: partial.offset, ...(totalBytes === undefined ? {} : {totalBytes})})
    }
  } finally {
    await writer.finish()
  }
  if (totalBytes !== undefined && partial.offset !== totalBytes) {
    throw new HttpFailure(`${partial.offset} bytes came instead of ${totalBytes}.`, {retry: 'yes'})
  }
}

const tooLong = (url: URL, limitBytes: number): VmctlError =>
  new VmctlError('vmctl::image::checksum_mismatch', `${displayUrl(url)} is longer than the ${limitBytes} bytes that it should have.`)

/** A weak etag does not promise equal bytes, so RFC 9110 (13.1.5) forbids it in If-Range. */
const strongValidator = ({etag, lastModified}: Validators): string | undefined =>
  etag !== undefined && !etag.startsWith('W/') ? etag : lastModified

const requestHeaders = ({offset, validators}: Partial, isVerifiable: boolean): Record<string, string> => {
  const identity = {'accept-encoding': 'identity', 'user-agent': 'vmctl'}
  const validator = strongValidator(validators)
  if (offset === 0 || (validator === undefined && !isVerifiable)) return identity
  return {...identity, range: `bytes=${offset}-`, ...(validator === undefined ? {} : {'if-range': validator})}
}

/** Decides from status and headers whether the answer goes on where the file ends; undefined when it fits nothing. */
const continueWith = async (job: DownloadJob, response: HttpResponse, partial: Partial): Promise<Partial | undefined> => {
  const {status, headers} = response
  if (status === 200) return begin(job, response)
  const {start, total} = parseContentRange(single(headers['content-range']))
  const {etag, totalBytes} = partial.validators
  if (!agree(total, totalBytes) || !agree(single(headers['etag']), etag)) return undefined
  if (status === 206 && start === partial.offset) {
    const joined = {...partial, isJoined: true}
    return total === undefined ? joined : {...joined, validators: {...partial.validators, totalBytes: total}}
  }
  // Nothing is left to send: the earlier run was killed after the last byte.
  return status === 416 && total === partial.offset && partial.offset > 0 ? partial : undefined
}

/** `bytes 100-199/200`, `bytes 100-199/*` or, with status 416, the form with a star for the range. */
const parseContentRange = (header: string | undefined): {start: number | undefined; total: number | undefined} => {
  const [, start, total] = /^bytes (?:(\d+)-\d+|\*)\/(?:(\d+)|\*)$/.exec(header ?? '') ?? []
  return {start: start === undefined ? undefined : Number(start), total: total === undefined ? undefined : Number(total)}
}

/** Whether two statements contradict each other; silence does not. */
const agree = <T>(left: T | undefined, right: T | undefined): boolean => left === undefined || right === undefined || left === right

const begin = async (job: DownloadJob, {headers}: HttpResponse): Promise<Partial> => {
  refuseEncoded(job.url, single(headers['content-encoding']))
  const length = single(headers['content-length'])
  const isFramed = length !== undefined || /chunked/i.test(single(headers['transfer-encoding']) ?? '')
  if (!isFramed && !job.isVerifiable) {
    throw new HttpFailure('The server does not say how long the file is, so a cut could not be noticed; declare its sha256.', {retry: 'no'})
  }
  const etag = single(headers['etag'])
  const lastModified = single(headers['last-modified'])
  const validators = {
    ...(etag === undefined ? {} : {etag}),
    ...(lastModified === undefined ? {} : {lastModified}),
    ...(length === undefined ? {} : {totalBytes: Number(length)}),
  }
  const partial = await startOver(job.path)
  await saveValidators(job.path, validators)
  return {...partial, validators}
}

/** Some servers label `disk.raw.gz` as gzip-encoded although it is the file itself; everything else was not asked for. */
const refuseEncoded = (url: URL, encoding: string | undefined): void => {
  if (encoding === undefined || encoding === 'identity') return
  if (/^(?:x-)?gzip$/.test(encoding) && url.pathname.endsWith('.gz')) return
  throw new HttpFailure(`${displayUrl(url)} came with content-encoding ${encoding}, which was not asked for.`, {retry: 'no'})
}

const checkSpace = async (job: DownloadJob, {offset, validators}: Partial): Promise<void> => {
  const needed = (validators.totalBytes ?? 0) - offset
  const free = await freeSpaceBytes(dirname(job.path))
  if (needed <= free) return
  throw new VmctlError(
    'vmctl::image::no_space',
    `${displayUrl(job.url)} needs ${needed} more bytes, and ${free} are free in ${dirname(job.path)}.`,
    {
      details: {neededBytes: needed, freeBytes: free},
    },
  )
}

interface IdleWatch extends AsyncDisposable {
  readonly signal: AbortSignal
  observe(body: AsyncIterable<Buffer>, url: URL): AsyncGenerator<Buffer>
}

/** Cuts a body that stands still or trickles. Time that we spend on writing does not count against the server. */
const watchIdle = (idleTimeoutMs: number): IdleWatch => {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  return {
    signal: controller.signal,
    async *observe(body, url) {
      let isWaiting = true
      let recent = 0
      timer = setInterval(() => {
        if (isWaiting && recent < minBytesPerIdleTimeout) controller.abort()
        recent = 0
      }, idleTimeoutMs)
      try {
        for await (const chunk of body) {
          isWaiting = false
          recent += chunk.length
          yield chunk
          isWaiting = true
        }
      } catch (error) {
        if (!controller.signal.aborted) throw connectionFailure(url, error)
        throw new HttpFailure(`${url.host} sent next to nothing for ${idleTimeoutMs / 1000} s.`, {retry: 'yes', cause: error})
      }
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
    },
  }
}

import type {Readable} from 'node:stream'

import {VmctlError} from '../../model/errors.ts'
import {HttpFailure, type HttpOptions, type HttpRequest, type HttpResponse, single, statusFailure} from '../http-client.ts'
import {withRetries} from '../retry.ts'
import {displayUrl, printableName} from '../url.ts'
import type {Session} from './session.ts'

export interface UploadJob extends HttpOptions {
  readonly session: Session
  /** `sha256:…` */
  readonly digest: string
  readonly sizeBytes: number
  /** The bytes from one offset up to another. */
  readonly read: (start: number, end: number) => Buffer | (() => Readable)
  readonly signal: AbortSignal
  /** Where an earlier run was: the URL of its upload. */
  readonly earlier?: string | undefined
  /** Keeps the URL of the upload for a later run. */
  readonly keep?: (location: string) => Promise<void>
  /** Bytes that the registry has, those of an earlier run included. */
  readonly onProgress?: (sentBytes: number) => void
  readonly onRetry?: ((reason: string) => void) | undefined
  /** Bytes that go in one request. Default 32 MiB. */
  readonly chunkBytes?: number
}

/** Large enough for every registry that has a least size, small enough that a cut costs little. */
const defaultChunkBytes = 32 * 2 ** 20
/** A registry may read all of it again before it says yes. */
const patienceMs = 600_000

/** Where an upload is. */
interface Place {
  location: URL
  offset: number
}

/**
 * Brings a blob into a repository, unless it is there. It goes in pieces; after a cut the registry is asked how far it is, and what it
 * has is not sent again. One that wants a blob in one piece gets that.
 * @returns how many bytes were sent
 * @throws HttpFailure; VmctlError `vmctl::image::push_failed`, `vmctl::registry::denied`
 */
export const uploadBlob = async (job: UploadJob): Promise<number> => {
  if (await isThere(job)) return 0
  const state: State = {
    place: job.earlier === undefined ? undefined : await resume(job, new URL(job.earlier)),
    isDoubtful: false,
    isResumed: job.earlier !== undefined,
    inOnePiece: false,
    sentBytes: 0,
  }
  await withRetries(() => goOn(job, state), {...job, progress: () => state.place?.offset ?? 0})
  return state.sentBytes
}

interface State {
  place: Place | undefined
  /** Whether something has failed since the registry said how far it is. */
  isDoubtful: boolean
  /** Whether any of it rests on what the registry said about an upload that was cut. */
  isResumed: boolean
  inOnePiece: boolean
  sentBytes: number
}

/** One attempt, from wherever the upload is to its end. */
const goOn = async (job: UploadJob, state: State): Promise<void> => {
  if (state.place && state.isDoubtful) {
    state.place = await resume(job, state.place.location)
    state.isResumed = true
  }
  state.isDoubtful = true
  state.place ??= await begin(job)
  job.onProgress?.(state.place.offset)
  await sendPieces(job, state)
  const rest = await finish(job, state.place)
  if (rest === 'spoilt') throw startAnew(state)
  state.sentBytes += rest
  job.onProgress?.(job.sizeBytes)
}

const sendPieces = async (job: UploadJob, state: State): Promise<void> => {
  while (state.place && state.place.offset < job.sizeBytes && !state.inOnePiece) {
    const next = await sendPiece(job, state.place)
    if (next === 'refused') {
      state.inOnePiece = true
      state.place = await begin(job)
      return
    }
    state.sentBytes += next.offset - state.place.offset
    state.place = next
    await job.keep?.(next.location.href)
    job.onProgress?.(next.offset)
  }
}

/** By the same words a registry may have meant one byte, or none; so what was put together of two parts gets a second chance. */
const startAnew = (state: State): Error => {
  if (!state.isResumed) return new VmctlError('vmctl::image::push_failed', 'The registry has received other bytes than were sent.')
  state.place = undefined
  state.isResumed = false
  return new HttpFailure('The parts of the upload do not fit; starting over.', {retry: 'yes'})
}

const send = (job: UploadJob, request: HttpRequest): Promise<HttpResponse> => job.session.client.send(request, job.signal)

const discard = ({body}: HttpResponse): void => void body.on('error', () => undefined).destroy()

/** Whether the repository has the blob. */
const isThere = (job: UploadJob): Promise<boolean> =>
  withRetries(
    async () => {
      const url = job.session.url(`blobs/${job.digest}`)
      const response = await send(job, {method: 'HEAD', url, headers: {}})
      discard(response)
      if (response.status === 404) return false
      if (response.status < 400) return true
      throw statusFailure(url, response)
    },
    {...job, progress: () => 0},
  )

const begin = async (job: UploadJob): Promise<Place> => {
  const url = job.session.url('blobs/uploads/')
  const response = await send(job, {method: 'POST', url, headers: {'content-length': '0'}})
  if (response.status !== 202) throw await refusalOf(url, response)
  discard(response)
  return {location: locationOf(url, response), offset: 0}
}

/** How far an upload is that was begun earlier; undefined when the registry knows nothing of it any more. */
const resume = async (job: UploadJob, url: URL): Promise<Place | undefined> => {
  const response = await send(job, {method: 'GET', url, headers: {}})
  discard(response)
  if (response.status === 429 || response.status >= 500) throw statusFailure(url, response)
  const offset = offsetOf(response)
  if (response.status >= 300 || offset === undefined || offset > job.sizeBytes) {
    job.onRetry?.('The registry has given up the upload that was begun; starting over.')
    return undefined
  }
  return {location: response.headers['location'] === undefined ? url : locationOf(url, response), offset}
}

/** `0-99` is what a registry says that has 100 bytes; one that has none says `0-0` too. */
const offsetOf = ({headers}: HttpResponse): number | undefined => {
  const last = /^(?:bytes=)?0-(\d+)$/.exec(single(headers['range']) ?? '')?.[1]
  if (last === undefined) return undefined
  return last === '0' ? 0 : Number(last) + 1
}

const sendPiece = async (job: UploadJob, {location, offset}: Place): Promise<Place | 'refused'> => {
  const end = Math.min(job.sizeBytes, offset + (job.chunkBytes ?? defaultChunkBytes))
  const response = await send(job, {
    method: 'PATCH',
    url: location,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': `${end - offset}`,
      'content-range': `${offset}-${end - 1}`,
    },
    body: job.read(offset, end),
    patienceMs,
  })
  if (response.status === 202 || response.status === 204 || response.status === 201) {
    discard(response)
    const reached = Math.min(offsetOf(response) ?? end, end)
    if (reached <= offset) throw new HttpFailure(`${location.host} takes nothing of what is sent.`, {retry: 'yes'})
    return {location: locationOf(location, response), offset: reached}
  }
  if (response.status === 416) throw new HttpFailure('The registry is elsewhere in the upload.', {retry: 'yes'})
  // The first one: no registry that takes pieces says no to that.
  if (offset > 0 || ![400, 404, 405, 411, 413, 501].includes(response.status)) throw await refusalOf(location, response)
  discard(response)
  return 'refused'
}

/** Ends the upload; what was not sent yet goes with it. */
const finish = async (job: UploadJob, {location, offset}: Place): Promise<number | 'spoilt'> => {
  const url = new URL(location)
  url.searchParams.set('digest', job.digest)
  const rest = job.sizeBytes - offset
  const response = await send(job, {
    method: 'PUT',
    url,
    headers: {'content-type': 'application/octet-stream', 'content-length': `${rest}`},
    body: rest === 0 ? undefined : job.read(offset, job.sizeBytes),
    patienceMs,
  })
  if (response.status !== 201 && response.status !== 204) {
    const refusal = await refusalOf(url, response)
    if (response.status === 400 && /digest/i.test(refusal.message)) return 'spoilt'
    throw refusal
  }
  discard(response)
  return rest
}

/** Registries behind a proxy that ends TLS often name themselves by http. */
const locationOf = (from: URL, {headers}: HttpResponse): URL => {
  const location = single(headers['location'])
  const url = location === undefined ? null : URL.parse(location, from.href)
  if (url?.host === from.host) url.protocol = from.protocol
  if (url && (url.protocol === 'https:' || url.protocol === from.protocol)) return url
  throw new HttpFailure(`${displayUrl(from)} does not say where the upload goes on.`, {retry: 'no'})
}

/** What the registry says of an upload or a manifest that it does not take. */
export const refusalOf = async (url: URL, response: HttpResponse): Promise<Error> => {
  const failure = statusFailure(url, response)
  if (failure.retry !== 'no') {
    discard(response)
    return failure
  }
  const told = await wordsOf(response)
  return new VmctlError('vmctl::image::push_failed', `${failure.message}${told === undefined ? '' : ` It says: ${told}`}`, {
    ...(response.status === 404 || response.status === 405
      ? {help: 'Check the name of the repository: some registries want it to be made beforehand, or take no artifacts of their own type.'}
      : {}),
    cause: failure,
  })
}

const wordsLimit = 65_536

const wordsOf = async ({body}: HttpResponse): Promise<string | undefined> => {
  let text = ''
  try {
    for await (const chunk of body) {
      text += (chunk as Buffer).toString('utf8')
      if (text.length > wordsLimit) break
    }
    const {errors} = JSON.parse(text) as {errors?: readonly {message?: unknown}[]}
    const message = errors?.[0]?.message
    return typeof message === 'string' && message !== '' ? printableName(message).slice(0, 200) : undefined
  } catch {
    return undefined
  }
}

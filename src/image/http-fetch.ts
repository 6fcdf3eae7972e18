import {type ExpectedDigests, findMismatch, parseChecksumFile, verifyDigests} from './checksum.ts'
import {VmctlError} from '../model/errors.ts'
import {downloadTo} from './download.ts'
import {connectionFailure, downloadError, type HttpClient, HttpFailure, type HttpOptions, openHttpClient} from './http-client.ts'
import type {ImageSource} from './image-source.ts'
import {startOver} from './partial.ts'
import {withRetries} from './retry.ts'
import {displayUrl, fileNameOf, parseImageUrl} from './url.ts'

const maxChecksumFileBytes = 4 * 2 ** 20

/** What an image source for http and https does: checked, resumed, retried. */
export const httpFetcher = (options: HttpOptions): Required<Pick<ImageSource, 'fetch' | 'publishedDigests'>> => ({
  async fetch(reference, path, fetchOptions) {
    const url = parseImageUrl(reference.source)
    await using client = await openHttpClient({...options, insecure: reference.insecure})
    const expected = await expectedDigests(reference, {...options, client, signal: fetchOptions.signal})
    const isVerifiable = expected.sha256 !== undefined || expected.sha512 !== undefined
    const job = {...options, ...fetchOptions, client, url, path, isVerifiable}
    try {
      let file = await downloadTo(job)
      if (file.isInherited && findMismatch(expected, file.fetched.digests)) {
        fetchOptions.onRetry?.('The part of an earlier download does not fit; starting over.')
        await startOver(path)
        file = await downloadTo(job)
      }
      verifyDigests(displayUrl(url), expected, file.fetched.digests)
      return {name: fileNameOf(url), ...file.fetched}
    } catch (error) {
      throw error instanceof HttpFailure ? downloadError(url, error) : error
    }
  },

  async publishedDigests(reference, {signal}) {
    await using client = await openHttpClient({...options, insecure: reference.insecure})
    const {source, checksumUrl} = reference
    return await expectedDigests({source, ...(checksumUrl === undefined ? {} : {checksumUrl})}, {...options, client, signal})
  },
})

interface Declared extends ExpectedDigests {
  readonly source: string
  readonly checksumUrl?: string
}

type RequestOptions = HttpOptions & {readonly client: HttpClient; readonly signal: AbortSignal}

/** The digests of the reference and those that its checksum file lists: all of them must hold. */
const expectedDigests = async (reference: Declared, options: RequestOptions): Promise<ExpectedDigests> => {
  const declared = {
    ...(reference.sha256 === undefined ? {} : {sha256: reference.sha256.toLowerCase()}),
    ...(reference.sha512 === undefined ? {} : {sha512: reference.sha512.toLowerCase()}),
  }
  if (reference.checksumUrl === undefined) return declared
  const url = parseImageUrl(reference.checksumUrl)
  const text = await readText(url, options)
  const listed = parseChecksumFile(text, fileNameOf(parseImageUrl(reference.source)), displayUrl(url))
  for (const algorithm of ['sha256', 'sha512'] as const) {
    if (declared[algorithm] === undefined || listed[algorithm] === undefined || declared[algorithm] === listed[algorithm]) continue
    throw new VmctlError('vmctl::image::checksum_mismatch', `${displayUrl(url)} lists another ${algorithm} than the one that is declared.`)
  }
  return {...listed, ...declared}
}

const readText = async (url: URL, options: RequestOptions): Promise<string> => {
  try {
    return await withRetries(() => readTextOnce(url, options), {...options, progress: () => 0})
  } catch (error) {
    throw error instanceof HttpFailure ? downloadError(url, error) : error
  }
}

const readTextOnce = async (url: URL, {client, signal, idleTimeoutMs = 30_000}: RequestOptions): Promise<string> => {
  // A list of checksums is small: one deadline for the whole of it does.
  const deadline = AbortSignal.timeout(idleTimeoutMs * 2)
  const response = await client.get(url, {'accept-encoding': 'identity'}, AbortSignal.any([signal, deadline])).catch((error: unknown) => {
    signal.throwIfAborted()
    throw connectionFailure(url, error)
  })
  const parts: Buffer[] = []
  let length = 0
  try {
    if (response.status !== 200) throw new HttpFailure(`${displayUrl(url)} answered ${response.status}.`, {retry: 'no'})
    for await (const chunk of response.body) {
      parts.push(chunk as Buffer)
      length += (chunk as Buffer).length
      if (length > maxChecksumFileBytes) throw new HttpFailure(`${displayUrl(url)} is too long for a list of checksums.`, {retry: 'no'})
    }
  } catch (error) {
    signal.throwIfAborted()
    throw connectionFailure(url, error)
  } finally {
    response.body.on('error', () => undefined).destroy()
  }
  return Buffer.concat(parts).toString('utf8')
}

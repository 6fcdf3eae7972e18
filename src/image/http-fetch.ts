import {type ExpectedDigests, findMismatch, parseChecksumFile, verifyDigests} from './checksum.ts'
import {VmctlError} from '../model/errors.ts'
import {type DownloadJob, downloadTo} from './download.ts'
import {downloadError, HttpFailure, type HttpOptions, openHttpClient} from './http-client.ts'
import {readText, type RequestOptions} from './http-text.ts'
import type {FetchedImage, ImageSource} from './image-source.ts'
import {startOver} from './partial.ts'
import {displayUrl, fileNameOf, parseImageUrl} from './url.ts'

/** What a mirror is given: its publisher can be asked instead. */
const littlePatience = {idleTimeoutMs: 10_000, retries: 1}

/** What an image source for http and https does: checked, resumed, retried. */
export const httpFetcher = (options: HttpOptions): Required<Pick<ImageSource, 'fetch' | 'publishedDigests'>> => ({
  async fetch(reference, path, fetchOptions) {
    const url = parseImageUrl(reference.source)
    const limits = fetchOptions.hasOther ? {...options, ...lesser(options)} : options
    await using client = await openHttpClient({...limits, insecure: reference.insecure})
    const expected = await expectedDigests(reference, {...limits, client, signal: fetchOptions.signal})
    try {
      return {name: fileNameOf(url), ...(await downloadVerified({...limits, ...fetchOptions, client, url, path}, expected))}
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

const lesser = ({idleTimeoutMs = Infinity, retries = Infinity}: HttpOptions) => ({
  idleTimeoutMs: Math.min(idleTimeoutMs, littlePatience.idleTimeoutMs),
  retries: Math.min(retries, littlePatience.retries),
})

/**
 * A file with the digests that it must have, all of them. What an earlier answer has left is used when it fits.
 * @throws HttpFailure; VmctlError `vmctl::image::checksum_mismatch`, `vmctl::image::no_space`
 */
export const downloadVerified = async (
  download: Omit<DownloadJob, 'isVerifiable'>,
  expected: ExpectedDigests,
): Promise<Omit<FetchedImage, 'name'>> => {
  const job = {...download, isVerifiable: expected.sha256 !== undefined || expected.sha512 !== undefined}
  let file = await downloadTo(job)
  if (file.isJoined && findMismatch(expected, file.fetched.digests)) {
    job.onRetry?.('The parts of the download do not belong together; starting over.')
    await startOver(job.path)
    file = await downloadTo(job)
  }
  verifyDigests(displayUrl(job.url), expected, file.fetched.digests)
  return file.fetched
}

interface Declared extends ExpectedDigests {
  readonly source: string
  readonly checksumUrl?: string
}

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

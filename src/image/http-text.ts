import {isVmctlError} from '../model/errors.ts'
import {connectionFailure, downloadError, type HttpClient, HttpFailure, type HttpOptions, type HttpResponse, single} from './http-client.ts'
import {withRetries} from './retry.ts'
import {displayUrl} from './url.ts'

const maxBytes = 4 * 2 ** 20

export type RequestOptions = HttpOptions & {
  readonly client: HttpClient
  readonly signal: AbortSignal
  /** Besides those that are always sent. */
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * A small file in full: a list of checksums, a signature, a listing of a folder.
 * @throws VmctlError `vmctl::image::download_failed`
 */
export const readText = async (url: URL, options: RequestOptions): Promise<string> => (await readBytes(url, options)).toString('utf8')

/** The same as bytes. */
export const readBytes = async (url: URL, options: RequestOptions): Promise<Buffer> => {
  try {
    return await read(url, options)
  } catch (error) {
    throw error instanceof HttpFailure ? downloadError(url, error) : error
  }
}

/** The same; undefined when the server says that there is no such file. */
export const readIfPublished = async (url: URL, options: RequestOptions): Promise<Buffer | undefined> => {
  try {
    return await read(url, options)
  } catch (error) {
    if (error instanceof HttpFailure && (error.status === 404 || error.status === 410)) return undefined
    throw error instanceof HttpFailure ? downloadError(url, error) : error
  }
}

const read = async (url: URL, options: RequestOptions): Promise<Buffer> => (await readAnswer(url, options)).content

interface Answer {
  readonly content: Buffer
  readonly headers: HttpResponse['headers']
}

/**
 * The same with the headers.
 * @throws HttpFailure
 */
export const readAnswer = (url: URL, options: RequestOptions): Promise<Answer> =>
  withRetries(() => readOnce(url, options), {...options, progress: () => 0})

const readOnce = async (url: URL, {client, signal, headers, idleTimeoutMs = 30_000}: RequestOptions): Promise<Answer> => {
  // The file is small: one deadline for the whole of it does, against a server that trickles too.
  const deadline = AbortSignal.timeout(idleTimeoutMs * 2)
  const response = await client
    .get(url, {'accept-encoding': 'identity', ...headers}, AbortSignal.any([signal, deadline]))
    .catch((error: unknown) => {
      signal.throwIfAborted()
      throw isVmctlError(error) ? error : connectionFailure(url, error)
    })
  const parts: Buffer[] = []
  let length = 0
  try {
    if (response.status !== 200) throw new HttpFailure(`${displayUrl(url)} answered ${response.status}.`, {retry: 'no'})
    const encoding = single(response.headers['content-encoding']) ?? 'identity'
    if (encoding !== 'identity')
      throw new HttpFailure(`${displayUrl(url)} came with content-encoding ${encoding}, which was not asked for.`, {retry: 'no'})
    for await (const chunk of response.body) {
      parts.push(chunk as Buffer)
      length += (chunk as Buffer).length
      if (length > maxBytes) throw new HttpFailure(`${displayUrl(url)} is too long for a list.`, {retry: 'no'})
    }
  } catch (error) {
    signal.throwIfAborted()
    throw connectionFailure(url, error)
  } finally {
    response.body.on('error', () => undefined).destroy()
  }
  return {content: Buffer.concat(parts), headers: response.headers}
}

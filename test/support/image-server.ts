import {createHash} from 'node:crypto'
import {createServer, type IncomingMessage, type RequestListener, type ServerResponse} from 'node:http'
import {createServer as createTlsServer} from 'node:https'
import type {AddressInfo} from 'node:net'

/** How a file misbehaves. Everything absent is what a good server does. */
export interface ServedFile {
  content: Buffer
  /** `undefined` sends none; default is a hash of the content. */
  etag?: string | undefined
  lastModified?: string
  /** Closes the connection after this many bytes of the n-th answer; -1 or nothing means not. */
  cutAfter?: number[]
  /** Milliseconds that the client has for what came before a cut; for where it matters that it has taken some of it. */
  cutGraceMs?: number
  /** Answers every request in full with 200. */
  ignoresRange?: boolean
  /** Sends no length at all: chunked, or until the connection closes. */
  framing?: 'length' | 'chunked' | 'close'
  /** Claims this length. */
  claimsLength?: number
  /** Stops sending after this many bytes and keeps the connection. */
  stallsAfter?: number
  /** Then sends one byte each so many milliseconds. */
  tricklesMs?: number
  /** Answers with these statuses first. */
  statuses?: number[]
  headers?: Record<string, string>
  redirectsTo?: string
  /** Waits before the first byte, so that others can queue up. */
  delayMs?: number
  /** What is different in the n-th answer. */
  answers?: readonly Partial<ServedFile>[]
}

export interface SeenRequest {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  /** Bytes of content that were sent in answer. */
  sentBytes: number
}

export interface ImageServer extends AsyncDisposable {
  readonly origin: string
  readonly files: Map<string, ServedFile>
  readonly requests: SeenRequest[]
}

/** A server on loopback for images, with every fault that a test asks for. `files` may be changed at any time. */
export const startImageServer = async (tls?: {key: string; cert: string}): Promise<ImageServer> => {
  const files = new Map<string, ServedFile>()
  const requests: SeenRequest[] = []
  const answers = new Map<string, number>()
  const listener: RequestListener = (request, response) => {
    const path = new URL(request.url ?? '/', 'http://x').pathname
    const seen: SeenRequest = {path, headers: request.headers, sentBytes: 0}
    requests.push(seen)
    const count = answers.get(path) ?? 0
    answers.set(path, count + 1)
    const found = files.get(path)
    const file = found && {...found, ...found.answers?.[count]}
    if (file) setTimeout(() => serve({file, count, seen}, request, response), file.delayMs ?? 0)
    else response.writeHead(404, {'content-type': 'text/html'}).end('<!DOCTYPE html><h1>Not here</h1>')
  }
  const server = tls ? createTlsServer(tls, listener) : createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as AddressInfo
  return {
    origin: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    files,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Answer {
  readonly file: ServedFile
  readonly count: number
  readonly seen: SeenRequest
}

const serve = ({file, count, seen}: Answer, request: IncomingMessage, response: ServerResponse): void => {
  const status = file.statuses?.[count]
  if (status !== undefined && status !== 200) {
    response.writeHead(status, file.headers).end('an error page')
    return
  }
  if (file.redirectsTo !== undefined) {
    response.writeHead(302, {location: file.redirectsTo}).end()
    return
  }
  const range = rangeOf(file, request)
  if (range.isRange && range.start >= file.content.length) {
    response.writeHead(416, {...range.validators, 'content-range': `bytes */${file.content.length}`}).end()
    return
  }
  const body = file.content.subarray(range.start)
  const {length} = file.content
  response.writeHead(range.isRange ? 206 : 200, {
    ...range.validators,
    ...framingOf(file, body, response),
    ...(range.isRange ? {'content-range': `bytes ${range.start}-${length - 1}/${length}`} : {}),
  })
  send(file, {body, count, seen}, response)
}

const rangeOf = (file: ServedFile, request: IncomingMessage) => {
  const {content} = file
  const etag = 'etag' in file ? file.etag : `"${createHash('sha256').update(content).digest('hex').slice(0, 16)}"`
  const wanted = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? -1)
  const condition = request.headers['if-range']
  const isFresh = condition === undefined || condition === etag || condition === file.lastModified
  const isRange = wanted >= 0 && isFresh && !file.ignoresRange
  const validators = {
    ...(etag === undefined ? {} : {etag}),
    ...(file.lastModified ? {'last-modified': file.lastModified} : {}),
    ...file.headers,
  }
  return {isRange, start: isRange ? wanted : 0, validators}
}

const framingOf = (file: ServedFile, body: Buffer, response: ServerResponse): Record<string, string> => {
  if (file.framing === 'chunked') return {}
  if (file.framing !== 'close') return {'content-length': `${file.claimsLength ?? body.length}`}
  response.useChunkedEncodingByDefault = false
  response.shouldKeepAlive = false
  return {connection: 'close'}
}

const send = (file: ServedFile, {body, count, seen}: {body: Buffer; count: number; seen: SeenRequest}, response: ServerResponse): void => {
  const cut = file.cutAfter?.[count] ?? -1
  if (cut >= 0 && cut < body.length) {
    seen.sentBytes = cut
    // A client loses what it has not taken by then, so it gets some time for that.
    const destroy = (): void => void setTimeout(() => response.destroy(), file.cutGraceMs ?? 100)
    if (cut === 0) destroy()
    else response.write(body.subarray(0, cut), destroy)
    return
  }
  if (file.stallsAfter !== undefined) {
    seen.sentBytes = file.stallsAfter
    response.write(body.subarray(0, file.stallsAfter))
    if (file.tricklesMs === undefined) return
    let at = file.stallsAfter
    const timer = setInterval(() => response.write(body.subarray(at, ++at)), file.tricklesMs)
    response.on('close', () => clearInterval(timer))
    return
  }
  seen.sentBytes = body.length
  response.end(body)
}

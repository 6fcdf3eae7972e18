import {createHash, randomBytes} from 'node:crypto'
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http'
import type {AddressInfo} from 'node:net'

import {afterEach, beforeEach, expect, test} from 'vitest'

import {readOciReference} from '../url.ts'
import {openSession} from './session.ts'
import {uploadBlob, type UploadJob} from './upload.ts'

const {signal} = new AbortController()
const blob = randomBytes(300_000)
const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`

/** What the registry does wrong. */
interface Faults {
  /** The connection of the n-th PATCH breaks after so many bytes, which the registry keeps. */
  readonly cuts?: readonly number[]
  /** It takes no pieces. */
  readonly onePiece?: boolean
  /** It forgets each upload whose connection broke. */
  readonly forgets?: boolean
  /** First answers to a PATCH. */
  readonly statuses?: readonly number[]
  readonly rejects?: boolean
}

/** A registry that goes by the specification where an upload is concerned, as few do that are easy to install. */
const startUploads = async (faults: Faults = {}) => {
  let received: Buffer | undefined = Buffer.alloc(0)
  const blobs = new Map<string, Buffer>()
  const requests: {readonly method: string; readonly range: string | undefined; bytes: number}[] = []
  const read = async (request: IncomingMessage, seen: {bytes: number}, limit: number): Promise<Buffer> => {
    const parts: Buffer[] = []
    for await (const chunk of request) {
      const rest = (chunk as Buffer).subarray(0, limit - seen.bytes)
      parts.push(rest)
      seen.bytes += rest.length
      if (seen.bytes >= limit) break
    }
    return Buffer.concat(parts)
  }
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const {method = '', url = ''} = request
    const seen = {method, range: request.headers['content-range'], bytes: 0}
    const patches = requests.filter((one) => one.method === 'PATCH').length
    requests.push(seen)
    const state = () => ({location: `/v2/a/blobs/uploads/${requests.length}`, range: `0-${Math.max(0, (received?.length ?? 0) - 1)}`})
    if (method === 'HEAD') return void response.writeHead(blobs.has(url.split('/').at(-1) ?? '') ? 200 : 404).end()
    if (method === 'POST') {
      received = Buffer.alloc(0)
      return void response.writeHead(202, state()).end()
    }
    if (method === 'GET') return void (received ? response.writeHead(204, state()) : response.writeHead(404)).end()
    if (method === 'PATCH') {
      const status = faults.onePiece ? 405 : faults.statuses?.[patches]
      if (status !== undefined && status !== 202) return void response.writeHead(status, {connection: 'close'}).end()
      const limit = faults.cuts?.[patches] ?? Infinity
      const content = await read(request, seen, limit)
      received = Buffer.concat([received ?? Buffer.alloc(0), content])
      if (limit !== Infinity && faults.forgets) received = undefined
      return void (limit === Infinity ? response.writeHead(202, state()).end() : response.destroy())
    }
    const whole = Buffer.concat([received ?? Buffer.alloc(0), await read(request, seen, Infinity)])
    const isRight = new URL(url, 'http://x').searchParams.get('digest') === `sha256:${createHash('sha256').update(whole).digest('hex')}`
    if (!isRight) return void response.writeHead(400).end('{"errors":[{"message":"provided digest did not match"}]}')
    if (faults.rejects) return void response.writeHead(405).end('{"errors":[{"message":"no room \\u001b[31m for this"}]}')
    blobs.set(digest, whole)
    response.writeHead(201).end()
  }
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const options = {env: {HOME: '/nonexistent'}, held: new Map(), signal, retryDelayMs: 1}
  const session = await openSession(readOciReference(`oci://${host}/a:1`), {...options, actions: 'pull,push'})
  return {
    blobs,
    requests,
    host,
    sent: (method: string): number => requests.filter((one) => one.method === method).reduce((sum, {bytes}) => sum + bytes, 0),
    upload: (more: Partial<UploadJob> = {}) =>
      uploadBlob({
        session,
        digest,
        sizeBytes: blob.length,
        read: (first, end) => blob.subarray(first, end),
        signal,
        retryDelayMs: 1,
        chunkBytes: 100_000,
        ...more,
      }),
    async [Symbol.asyncDispose]() {
      await session[Symbol.asyncDispose]()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

let registry: Awaited<ReturnType<typeof startUploads>> | undefined
const start = async (faults?: Faults) => (registry = await startUploads(faults))
beforeEach(() => {
  registry = undefined
})
afterEach(async () => registry?.[Symbol.asyncDispose]())

test('a blob goes in pieces, and once', async () => {
  const {upload, requests, blobs} = await start()
  expect(await upload()).toBe(blob.length)
  expect(blobs.get(digest)?.equals(blob)).toBe(true)
  expect(requests.filter(({method}) => method === 'PATCH').map(({range}) => range)).toEqual(['0-99999', '100000-199999', '200000-299999'])
  const before = requests.length
  expect(await upload()).toBe(0)
  expect(requests.slice(before).map(({method}) => method)).toEqual(['HEAD'])
})

test.each([1, 1000, 65_536, 99_999])('a piece that was cut after %i bytes goes on there', async (cut) => {
  const {upload, sent, blobs} = await start({cuts: [cut, 50_000]})
  await upload()
  expect(blobs.get(digest)?.equals(blob)).toBe(true)
  // Of one byte and of none, registries say the same: then all of it goes once more.
  expect(sent('PATCH')).toBeLessThanOrEqual(cut === 1 ? 2 * blob.length + 1 : blob.length)
})

test('one that the registry has forgotten begins anew, and that is told', async () => {
  const told: string[] = []
  const {upload, blobs} = await start({cuts: [Infinity, 10], forgets: true})
  await upload({onRetry: (reason) => told.push(reason)})
  expect(blobs.get(digest)?.equals(blob)).toBe(true)
  expect(told.join('\n')).toContain('starting over')
})

test('a later run goes on where an earlier one was', async () => {
  const {upload, sent, blobs, host} = await start({statuses: [202, 400]})
  let location = ''
  await expect(upload({keep: async (at) => void (location = at)})).rejects.toMatchObject({code: 'vmctl::image::push_failed'})
  expect(location).toContain(host)
  expect(await upload({earlier: location})).toBe(blob.length - 100_000)
  expect(sent('PATCH')).toBe(blob.length)
  expect(blobs.get(digest)?.equals(blob)).toBe(true)
})

test('a registry that takes no pieces gets all at once', async () => {
  const {upload, sent, blobs} = await start({onePiece: true})
  expect(await upload()).toBe(blob.length)
  expect(sent('PUT')).toBe(blob.length)
  expect(blobs.get(digest)?.equals(blob)).toBe(true)
})

test('what the registry says of a blob that it does not take is told, without its colours', async () => {
  const {upload} = await start({rejects: true})
  await expect(upload()).rejects.toMatchObject({
    code: 'vmctl::image::push_failed',
    message: expect.stringMatching(/It says: no room \[31m for this/),
  })
})

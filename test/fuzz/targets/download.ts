import {strict as assert} from 'node:assert'
import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {readFileSync, rmSync} from 'node:fs'
import {type AddressInfo, createServer} from 'node:net'
import {join} from 'node:path'

import {createHttpSource} from '../../../src/image/http.ts'
import {resultOrFailure, type Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

const content = Buffer.from(Array.from({length: 20_000}, (_, index) => (index * 7) % 251))
const sha256 = createHash('sha256').update(content).digest('hex')
const separator = '\n%%\n'

/** One answer of the script: `{FROM}`, `{TO}`, `{LEFT}`, `{ALL}` are numbers of the range that was asked for, `{BODY}` its bytes, `{HALF}` half of them. */
const answer = (template: Buffer, from: number): Buffer => {
  const start = Math.min(from, content.length)
  const numbers: Readonly<Record<string, number>> = {FROM: start, TO: content.length - 1, LEFT: content.length - start, ALL: content.length}
  const rest = content.subarray(start)
  const text = template
    .toString('latin1')
    .replaceAll(/\{(FROM|TO|LEFT|ALL)\}/g, (_, name: string) => String(numbers[name]))
    .replaceAll('{BODY}', () => rest.toString('latin1'))
    .replaceAll('{HALF}', () => rest.subarray(0, rest.length / 2).toString('latin1'))
  return Buffer.from(text.slice(0, 200_000), 'latin1')
}

/** The answers of a server, one for each request; the last one again and again. */
export const download: Target = {
  about: 'the answers of an HTTP server to a download that is resumed',
  dictionary: [
    ...[
      'HTTP/1.1 200 OK\r\n',
      'HTTP/1.1 206 Partial Content\r\n',
      'HTTP/1.1 416 Range Not Satisfiable\r\n',
      'HTTP/1.1 503 Busy\r\nRetry-After: 0\r\n',
    ],
    ...[
      'HTTP/1.1 302 Found\r\nLocation: /other\r\n',
      'Content-Length: {LEFT}\r\n',
      'Content-Range: bytes {FROM}-{TO}/{ALL}\r\n',
      'Content-Range: bytes */{ALL}\r\n',
    ],
    ...[
      'Transfer-Encoding: chunked\r\n',
      'ETag: "a"\r\n',
      'ETag: W/"a"\r\n',
      '\r\n\r\n',
      '{BODY}',
      '{HALF}',
      separator,
      'Content-Encoding: gzip\r\n',
    ],
    ...[
      'Connection: close\r\n',
      'Last-Modified: Tue, 01 Jan 2030 00:00:00 GMT\r\n',
      'HTTP/1.1 100 Continue\r\n\r\n',
      'Content-Length: 1, 1\r\n',
    ],
  ],
  async open() {
    const scratch = scratchDirectory()
    let script: readonly Buffer[] = []
    let requests = 0
    const server = createServer((socket) => {
      let head = ''
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => {
        head += chunk.toString('latin1')
        if (!head.includes('\r\n\r\n')) return
        const from = Number(/^range: bytes=(\d+)-/im.exec(head)?.[1] ?? 0)
        head = ''
        const template = script[Math.min(requests, script.length - 1)]
        requests += 1
        socket.end(template ? answer(template, from) : Buffer.alloc(0))
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const {port} = server.address() as AddressInfo
    const source = createHttpSource({retries: 2, retryDelayMs: 1, idleTimeoutMs: 500})
    const path = join(scratch.path, 'file')
    const reference = {kind: 'url', source: `http://127.0.0.1:${port}/disk.raw`} as const
    const {signal} = new AbortController()
    return {
      async try(input) {
        script = input
          .toString('latin1')
          .split(separator)
          .map((part) => Buffer.from(part, 'latin1'))
        requests = 0
        for (const name of [path, `${path}.json`]) rmSync(name, {force: true})
        const codes = ['vmctl::image::download_failed', 'vmctl::image::checksum_mismatch', 'vmctl::image::no_space'] as const
        // Twice: the second run goes on with what the first one has left.
        for (let run = 0; run < 2; run++) {
          const fetched = await resultOrFailure(codes, () => source.fetch({...reference, sha256}, path, {signal}))
          assert.ok(requests < 200, `${requests} requests`)
          if (!fetched) continue
          assert.ok(readFileSync(path).equals(content), 'a wrong file is taken for the right one')
          assert.deepEqual([fetched.sizeBytes, fetched.digests.sha256], [content.length, sha256])
        }
      },
      async [Symbol.asyncDispose]() {
        server.close()
        scratch.remove()
      },
    }
  },
}

/** Tries redirects between an address of the internet, 203.0.113.7, and private ones; runs in a network namespace that has both on `lo`. */
import {once} from 'node:events'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'

import {openHttpClient} from '../../src/image/http-client.ts'

const outside = '203.0.113.7'
let target = ''
const server = createServer((request, response) => {
  const [, kind, next] = /^\/(to|via)\/?(.*)$/.exec(request.url ?? '') ?? []
  if (kind === 'to') response.writeHead(302, {location: target}).end()
  else if (kind === 'via') response.writeHead(302, {location: `http://${outside}:${port}/${next}`}).end()
  else response.end('ok')
}).listen(0, '::')
await once(server, 'listening')
const {port} = server.address() as AddressInfo

const attempt = async (start: string, to: string, allowPrivateRedirects = false): Promise<string> => {
  target = to
  await using client = await openHttpClient({allowPrivateRedirects})
  const got = await client.get(new URL(start), {}, AbortSignal.timeout(10_000)).then(
    async ({body}) => Buffer.concat(await Array.fromAsync(body as AsyncIterable<Buffer>)).toString(),
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  return got.replaceAll(String(port), 'PORT')
}

const at = (host: string, path = '/file'): string => `http://${host}:${port}${path}`
const results = {
  'to another name of the internet': await attempt(at(outside, '/to'), at(outside)),
  'to loopback': await attempt(at(outside, '/to'), at('127.0.0.1')),
  'to loopback, written otherwise': await attempt(at(outside, '/to'), at('0x7f.1')),
  'to loopback in IPv6': await attempt(at(outside, '/to'), at('[::1]')),
  'to loopback in IPv4 in IPv6': await attempt(at(outside, '/to'), at('[::ffff:127.0.0.1]')),
  'to the metadata of a cloud': await attempt(at(outside, '/to'), at('169.254.169.254')),
  'to a name that leads there': await attempt(at(outside, '/to'), at('localhost')),
  'in the second step': await attempt(at(outside, '/via/to'), at('127.0.0.1')),
  'when that is allowed': await attempt(at(outside, '/to'), at('127.0.0.1'), true),
  'from loopback, to loopback': await attempt(at('127.0.0.1', '/to'), at('localhost')),
  'from a name of loopback, to a private address': await attempt(at('localhost', '/to'), at('127.0.0.2')),
  'from loopback, to the internet, and back': await attempt(at('127.0.0.1', '/via/to'), at('127.0.0.1')),
}
process.stdout.write(JSON.stringify(results))
server.close()
server.closeAllConnections()

import {existsSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {join} from 'node:path'

import {describe, expect, it, onTestFinished} from 'vitest'

import {useImageLab} from '../../test/support/image-lab.ts'
import {type ServedFile, startImageServer} from '../../test/support/image-server.ts'
import {digestOf, makeRawDisk} from '../../test/support/images.ts'
import {ensureImage, type ImageEvent} from './index.ts'
import {createHttpSource} from './http.ts'

const {signal} = new AbortController()
const disk = makeRawDisk(300_000)
const lab = useImageLab()

const serve = (path: string, {content = disk, ...more}: Partial<ServedFile> = {}): string => lab.serve(path, content, more)

const pull = async (source: string, more: object = {}) => ensureImage(lab.scratch.store, {kind: 'url', source, ...more}, {signal})

const sentBytes = (): number => lab.server.requests.reduce((sum, request) => sum + request.sentBytes, 0)

describe('an interrupted download', () => {
  it('resumes at 100 different offsets and transfers next to nothing twice', async () => {
    // What undici had buffered when the connection broke is lost: 64 KiB and a chunk at most, whatever the size of the image.
    const bufferBytes = 131_072
    const content = makeRawDisk(300_000)
    const pullCut = async (index: number): Promise<void> => {
      const path = `/${index}/disk.raw`
      const offset = Math.floor((index * content.length) / 100) + (index % 7)
      const image = await pull(serve(path, {content, cutAfter: [offset]}))
      expect(readFileSync(image.path).equals(content)).toBe(true)
      const sent = lab.server.requests.filter((request) => request.path === path).reduce((sum, request) => sum + request.sentBytes, 0)
      expect(sent).toBeLessThanOrEqual(content.length + bufferBytes)
    }
    for (let first = 0; first < 100; first += 4) {
      await Promise.all(Array.from({length: 4}, async (_, index) => pullCut(first + index)))
    }
  })

  it('costs one per cent of a usual size at most, and is continued with the first byte that is missing', async () => {
    const content = makeRawDisk(32 * 2 ** 20)
    const cut = 20 * 2 ** 20
    await pull(lab.serve('/disk.raw', content, {cutAfter: [cut]}))
    const [first, second] = lab.server.requests
    const from = Number(/^bytes=(\d+)-$/.exec(String(second?.headers.range))?.[1])
    expect([first?.sentBytes, from + (second?.sentBytes ?? 0)]).toEqual([cut, content.length])
    expect((cut - from) / content.length).toBeLessThanOrEqual(0.01)
  })

  it('goes on through many cuts as long as each brings something new', async () => {
    const image = await pull(serve('/disk.raw', {cutAfter: Array.from({length: 20}, () => 10_000)}))
    expect(readFileSync(image.path).equals(disk)).toBe(true)
    expect(lab.server.requests).toHaveLength(21)
  })

  it('starts over when the server ignores Range, and gives up when it always cuts at one place', async () => {
    const image = await pull(serve('/a.raw', {cutAfter: [1000, 200_000], ignoresRange: true}))
    expect(readFileSync(image.path).equals(disk)).toBe(true)
    const cuts = Array.from({length: 50}, () => 1000)
    await expect(pull(serve('/b.raw', {cutAfter: cuts, ignoresRange: true}))).rejects.toMatchObject({code: 'vmctl::image::download_failed'})
    expect(lab.server.requests.filter(({path}) => path === '/b.raw').length).toBeLessThan(10)
  })

  it('starts over when the file on the server has changed', async () => {
    const other = makeRawDisk(250_000, 2)
    const url = serve('/disk.raw', {cutAfter: [100_000]})
    const events: ImageEvent[] = []
    const image = await ensureImage(
      lab.scratch.store,
      {kind: 'url', source: url},
      {
        signal,
        onEvent: (event) => {
          events.push(event)
          if (event.type === 'image.retrying') lab.server.files.set('/disk.raw', {content: other})
        },
      },
    )
    expect(readFileSync(image.path).equals(other)).toBe(true)
    expect(events.map(({type}) => type)).toContain('image.retrying')
  })

  it.each([
    // As above, what undici had buffered is lost.
    ['a last-modified date', {etag: undefined, lastModified: 'Tue, 01 Jul 2025 10:00:00 GMT'}, 1.1],
    ['a weak etag alone', {etag: 'W/"weak"'}, 1.4],
    ['no validator', {etag: undefined}, 1.4],
  ])('resumes, or starts over where it must, with %s', async (_, file, factor) => {
    const content = makeRawDisk(3_000_000)
    const image = await pull(serve('/disk.raw', {...file, content, cutAfter: [1_000_000]}))
    expect(readFileSync(image.path).equals(content)).toBe(true)
    expect(sentBytes()).toBeLessThanOrEqual(content.length * factor)
  })

  it('is continued by the next run, and a bad left-over is noticed by the checksum', async () => {
    const url = serve('/disk.raw', {cutAfter: Array.from({length: 30}, (_, index) => (index === 0 ? 200_000 : 0))})
    await expect(pull(url)).rejects.toMatchObject({code: 'vmctl::image::download_failed'})
    const [partial] = readdirSync(join(lab.scratch.store.directory, 'partial')).filter((name) => !name.endsWith('.json'))
    expect(statSync(join(lab.scratch.store.directory, 'partial', partial ?? '')).size).toBe(200_000)
    serve('/disk.raw')
    const before = sentBytes()
    expect(readFileSync((await pull(url)).path).equals(disk)).toBe(true)
    expect(sentBytes() - before).toBe(100_000)

    const spoilt = serve('/spoilt.raw', {cutAfter: Array.from({length: 30}, (_, index) => (index === 0 ? 200_000 : 0))})
    await expect(pull(spoilt)).rejects.toThrow()
    const [left] = readdirSync(join(lab.scratch.store.directory, 'partial')).filter((name) => !name.endsWith('.json'))
    writeFileSync(join(lab.scratch.store.directory, 'partial', left ?? ''), makeRawDisk(200_000, 9))
    serve('/spoilt.raw')
    expect(readFileSync((await pull(spoilt, {sha512: digestOf(disk, 'sha512')})).path).equals(disk)).toBe(true)
  })

  it('finishes one that was killed after the last byte', async () => {
    const url = serve('/disk.raw', {cutAfter: Array.from({length: 30}, (_, index) => (index === 0 ? disk.length - 1 : 0))})
    await expect(pull(url)).rejects.toThrow()
    const directory = join(lab.scratch.store.directory, 'partial')
    const [name] = readdirSync(directory).filter((each) => !each.endsWith('.json'))
    writeFileSync(join(directory, name ?? ''), disk)
    lab.server.files.clear()
    expect(readFileSync((await pull(url)).path).equals(disk)).toBe(true)
  })
})

describe('a server that lies or fails', () => {
  it.each([404, 403, 401, 410])('is believed at once when it says %i, and its page is not kept', async (status) => {
    const url = serve('/disk.raw', {statuses: Array.from({length: 9}, () => status)})
    await expect(pull(url)).rejects.toMatchObject({code: 'vmctl::image::download_failed', message: expect.stringContaining(`${status}`)})
    expect(lab.server.requests).toHaveLength(1)
    expect(lab.cachedDisks()).toEqual([])
    expect(readdirSync(join(lab.scratch.store.directory, 'partial'))).toEqual([])
  })

  it('is asked again after 503 and 429, and left alone when it wants an hour', async () => {
    await pull(serve('/disk.raw', {statuses: [503, 429, 500], headers: {'retry-after': '0'}}))
    expect(lab.server.requests).toHaveLength(4)
    const busy = serve('/busy.raw', {statuses: [503], headers: {'retry-after': '3600'}})
    await expect(pull(busy)).rejects.toMatchObject({message: expect.stringContaining('503')})
  })

  it('cannot pass a short or overlong body for the whole', async () => {
    const long = serve('/long.raw', {claimsLength: disk.length + 1000})
    lab.renewCache({idleTimeoutMs: 150, retries: 1})
    await expect(pull(long)).rejects.toMatchObject({code: 'vmctl::image::download_failed'})
    const short = serve('/short.raw', {claimsLength: disk.length - 1000})
    await expect(pull(short, {sha256: digestOf(disk)})).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
    expect(lab.cachedDisks()).toEqual([])
  })

  it('must say where the file ends, unless a checksum does', async () => {
    expect(readFileSync((await pull(serve('/chunked.raw', {framing: 'chunked'}))).path).equals(disk)).toBe(true)
    const endless = serve('/close.raw', {framing: 'close'})
    await expect(pull(endless)).rejects.toMatchObject({message: expect.stringContaining('how long')})
    await pull(endless, {sha256: digestOf(disk)})
  })

  it.each([
    ['stalls', {stallsAfter: 0}],
    ['trickles', {stallsAfter: 0, tricklesMs: 20}],
  ])('is cut off when it %s', async (_, file) => {
    lab.renewCache({idleTimeoutMs: 100, retries: 2})
    await expect(pull(serve('/disk.raw', file))).rejects.toMatchObject({message: expect.stringContaining('next to nothing')})
    expect(lab.server.requests).toHaveLength(3)
  })

  it('is asked for the rest when it stalls half-way', async () => {
    lab.renewCache({idleTimeoutMs: 100})
    expect(readFileSync((await pull(serve('/disk.raw', {stallsAfter: 150_000}))).path).equals(disk)).toBe(true)
    expect(sentBytes()).toBe(disk.length)
  })

  it('cannot make us write more than fits', async () => {
    const url = serve('/disk.raw', {claimsLength: 2 ** 50})
    await expect(pull(url)).rejects.toMatchObject({code: 'vmctl::image::no_space'})
    expect(lab.server.requests).toHaveLength(1)
  })

  it('cannot hand us an encoded body', async () => {
    const url = serve('/disk.raw', {headers: {'content-encoding': 'gzip'}})
    await expect(pull(url)).rejects.toMatchObject({message: expect.stringContaining('content-encoding')})
  })

  it('that is not there fails quickly, and never with the password of the URL', async () => {
    const source = `http://canary-user:canary-pass@127.0.0.1:9/disk.raw?token=canary-token`
    const error: Error = await pull(source).then(
      () => new Error('it worked'),
      (caught: Error) => caught,
    )
    expect(error).toMatchObject({code: 'vmctl::image::download_failed'})
    expect(JSON.stringify(error) + error.message + String(error.cause) + error.stack).not.toMatch(/canary/)
  })
})

describe('redirects', () => {
  it('are followed five times and not six', async () => {
    for (let hop = 1; hop <= 6; hop++) serve(`/${hop}`, {redirectsTo: hop === 6 ? '/disk.raw' : `/${hop + 1}`})
    serve('/disk.raw')
    await pull(`${lab.server.origin}/2`)
    await expect(pull(`${lab.server.origin}/1`)).rejects.toMatchObject({message: expect.stringContaining('more than 5')})
  })

  it.each(['file:///etc/passwd', 'ftp://example.org/x', 'javascript:alert(1)'])('to %s are refused', async (redirectsTo) => {
    await expect(pull(serve('/disk.raw', {redirectsTo}))).rejects.toMatchObject({message: expect.stringContaining('only http and https')})
  })

  it('do not carry credentials to another origin', async () => {
    await using other = await startImageServer()
    other.files.set('/disk.raw', {content: disk})
    serve('/here', {redirectsTo: `${other.origin}/disk.raw`})
    await pull(`${lab.server.origin.replace('//', '//me:secret@')}/here`)
    expect(lab.server.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('me:secret').toString('base64')}`)
    expect(other.requests[0]?.headers.authorization).toBeUndefined()
  })

  it('never lead from https to http, nor to a certificate that is not trusted, unless that is declared', async () => {
    const {secure, ca} = await lab.startSecureServer()
    secure.files.set('/direct.raw', {content: disk})
    secure.files.set('/down.raw', {content: disk, redirectsTo: serve('/disk.raw')})
    await expect(pull(`${secure.origin}/direct.raw`)).rejects.toMatchObject({code: 'vmctl::image::download_failed'})
    const trusting = {...lab.scratch.store, sources: [createHttpSource({ca})]}
    await ensureImage(trusting, {kind: 'url', source: `${secure.origin}/direct.raw`}, {signal})
    const down = ensureImage(trusting, {kind: 'url', source: `${secure.origin}/down.raw`}, {signal})
    await expect(down).rejects.toMatchObject({message: expect.stringContaining('from https to plain http')})
    expect(lab.server.requests).toHaveLength(0)
    // What a VMFile declares insecure has neither guard.
    lab.renewCache()
    const image = await pull(`${secure.origin}/down.raw`, {insecure: true})
    expect(readFileSync(image.path).equals(disk)).toBe(true)
    expect(lab.server.requests).toHaveLength(1)
  })
})

describe('checksums', () => {
  it.each(['sha256', 'sha512'])('declared as %s are compared, and nothing is kept when they differ', async (algorithm) => {
    const url = serve('/disk.raw')
    const wrong = {[algorithm]: digestOf(Buffer.from('other'), algorithm)}
    await expect(pull(url, wrong)).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
    expect(lab.cachedDisks()).toEqual([])
    expect(readdirSync(join(lab.scratch.store.directory, 'partial'))).toEqual([])
    await pull(url, {[algorithm]: digestOf(disk, algorithm)})
  })

  it('are taken from a list, which is read before anything is downloaded', async () => {
    const checksumUrl = serve('/SUMS', {content: Buffer.from(`${digestOf(disk)} *disk.raw\n${'0'.repeat(64)}  other.raw\n`)})
    await pull(serve('/disk.raw'), {checksumUrl})
    expect(lab.server.requests.map(({path}) => path)).toEqual(['/SUMS', '/disk.raw'])
    serve('/SUMS', {content: Buffer.from(`${'0'.repeat(64)}  b.raw\n`)})
    await expect(pull(serve('/b.raw'), {checksumUrl})).rejects.toMatchObject({code: 'vmctl::image::checksum_mismatch'})
    await expect(pull(serve('/c.raw'), {checksumUrl})).rejects.toMatchObject({message: expect.stringContaining('lists no sha256')})
    await expect(pull(serve('/d.raw'), {checksumUrl: `${lab.server.origin}/none`})).rejects.toMatchObject({
      code: 'vmctl::image::download_failed',
    })
    expect(lab.server.requests.filter(({path}) => path === '/c.raw' || path === '/d.raw')).toEqual([])
  })
})

it('stops at once when it is cancelled, and keeps the part', async () => {
  const controller = new AbortController()
  const url = serve('/disk.raw', {stallsAfter: 100_000})
  const cancelled = ensureImage(
    lab.scratch.store,
    {kind: 'url', source: url},
    {
      signal: controller.signal,
      onEvent: (event) => event.type === 'image.progress' && controller.abort(new Error('enough')),
    },
  )
  await expect(cancelled).rejects.toThrow('enough')
  serve('/disk.raw')
  await pull(url)
  expect(lab.server.requests[1]?.headers.range).toMatch(/^bytes=\d+-$/)
})

it('goes through the proxy of the environment', async () => {
  const asked: string[] = []
  const proxy = createServer((socket) => {
    socket.once('data', (data) => {
      asked.push(data.toString('latin1').split('\r\n')[0] ?? '')
      socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n')
    })
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const address = proxy.address()
  process.env.http_proxy = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  onTestFinished(() => {
    delete process.env.http_proxy
    proxy.close()
  })
  lab.renewCache({retries: 0})
  await expect(pull('http://images.example/disk.raw')).rejects.toMatchObject({code: 'vmctl::image::download_failed'})
  expect(asked[0]).toMatch(/images\.example/)
  expect(existsSync(lab.scratch.store.directory)).toBe(true)
})

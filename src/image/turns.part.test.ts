import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'

import {expect, onTestFinished, test} from 'vitest'

import {useImageLab} from '../../test/support/image-lab.ts'
import {makeRawDisk} from '../../test/support/images.ts'
import {ensureImage, type ImageEvent} from './index.ts'
import {downloadTurns} from './turns.ts'

const lab = useImageLab()

/**
 * Servers that count how many downloads they see at once, each and together. Nobody is through before as many are there as there should
 * be, however slow the host is.
 */
const startCounting = async (count: number, expected: number) => {
  const most = {all: 0, perHost: 0}
  const full = Promise.withResolvers<void>()
  let all = 0
  const origins = await Promise.all(
    Array.from({length: count}, async () => {
      let own = 0
      const server = createServer((_request, response) => {
        most.all = Math.max(most.all, ++all)
        most.perHost = Math.max(most.perHost, ++own)
        const disk = makeRawDisk(64 * 1024, all)
        response.writeHead(200, {'content-length': `${disk.length}`})
        response.write(disk.subarray(0, 1000))
        if (all === expected) full.resolve()
        void full.promise
          .then(() => sleep(30))
          .then(() => {
            all--
            own--
            response.end(disk.subarray(1000))
          })
      })
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
      onTestFinished(() => void server.close())
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    }),
  )
  return {most, origins}
}

const pullAll = async (sources: readonly string[], events: ImageEvent[] = []) => {
  const store = {...lab.scratch.store, turns: downloadTurns()}
  const options = {signal: AbortSignal.timeout(20_000), onEvent: (event: ImageEvent) => void events.push(event)}
  return Promise.all(sources.map((source) => ensureImage(store, {kind: 'url', source}, options)))
}

const eight = [0, 1, 2, 3, 4, 5, 6, 7]

test('eight images of one host come two at a time, and the others say that they wait', async () => {
  const {most, origins} = await startCounting(1, 2)
  const events: ImageEvent[] = []
  const images = await pullAll(
    eight.map((index) => `${origins[0]}/${index}.raw`),
    events,
  )
  expect(images).toHaveLength(8)
  expect(most).toEqual({all: 2, perHost: 2})
  expect(events.filter(({type}) => type === 'image.queued')).toHaveLength(6)
})

test('eight images of eight hosts come four at a time', async () => {
  const {most, origins} = await startCounting(8, 4)
  await pullAll(origins.map((origin) => `${origin}/disk.raw`))
  expect(most).toEqual({all: 4, perHost: 1})
})

test('a host that is busy does not hold up another one', async () => {
  const turns = downloadTurns()
  const {signal} = new AbortController()
  const first = [await turns.take('slow', {signal}), await turns.take('slow', {signal})]
  const order: string[] = []
  const take = async (host: string): Promise<void> => {
    using _turn = await turns.take(host, {signal})
    order.push(host)
  }
  const taken = [take('slow'), take('other')]
  await sleep(5)
  expect(order).toEqual(['other'])
  for (const turn of first) turn[Symbol.dispose]()
  await Promise.all(taken)
  expect(order).toEqual(['other', 'slow'])
})

test('who gives up while waiting takes no turn', async () => {
  const turns = downloadTurns()
  const controller = new AbortController()
  const {signal} = new AbortController()
  const first = [await turns.take('host', {signal}), await turns.take('host', {signal})]
  const given = turns.take('host', {signal: controller.signal})
  const next = turns.take('host', {signal})
  controller.abort(new Error('enough'))
  await expect(given).rejects.toThrow('enough')
  first[0]?.[Symbol.dispose]()
  await expect(next).resolves.toBeDefined()
})

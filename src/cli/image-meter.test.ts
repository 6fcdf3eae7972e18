import {expect, test, vi} from 'vitest'

import {displayWidth} from '../model/display-width.ts'
import {drawMeter, imageMeter} from './image-meter.ts'

const half = {name: 'debian-12-generic-amd64.qcow2', bytes: 40 * 2 ** 20, total: 80 * 2 ** 20, rate: 8 * 2 ** 20}

test('a meter has a bar, the name of the file, percent, size, rate and time left, as far as there is room', () => {
  expect(drawMeter(half, 100)).toBe('debian-12-generic-amd64.qcow2  ██████████░░░░░░░░░░   50 %  40.0 MB of 80.0 MB  8.0 MB/s  5.0 s left')
  expect(drawMeter(half, 68)).toBe('debian-12-gener…  ██████████░░░░░░░░░░   50 %  5.0 s left')
  expect(drawMeter(half, 40)).toBe('█████░░░░░   50 %  5.0 s left')
  expect(drawMeter({...half, bytes: half.total}, 100)).toBe(
    'debian-12-generic-amd64.qcow2  ████████████████████  100 %  80.0 MB of 80.0 MB  8.0 MB/s',
  )
  expect(drawMeter({...half, total: undefined}, 100)).toBe('debian-12-generic-amd64.qcow2  40.0 MB  8.0 MB/s')
})

test.each([5, 20, 28, 68, 188])('a meter fits %i cells', (width) => {
  for (const bytes of [0, 1, half.bytes, half.total])
    for (const total of [half.total, undefined, 0])
      expect(displayWidth(drawMeter({...half, bytes, total}, width))).toBeLessThanOrEqual(width)
})

const open = (isLive: boolean) => {
  const told: string[] = []
  const show = imageMeter({
    isLive,
    width: () => 60,
    status: (vm, text) => told.push(`[${vm}] ${text}`),
    end: (vm) => told.push(`[${vm}] end`),
    say: (vm, text) => told.push(`${vm ?? 'pull'}: ${text.replace(/ in .* s,/, ' in TIME,')}`),
  })
  return {told, show}
}

const source = 'https://example.com/a/disk.qcow2'

test('the end says how much it was, and whether and how it was verified', () => {
  const {told, show} = open(true)
  show({type: 'image.progress', source, receivedBytes: 1024, totalBytes: 4096, vm: 'web'})
  show({type: 'image.progress', source, receivedBytes: 4096, totalBytes: 4096, vm: 'web'})
  show({type: 'image.ready', source, path: '/cache/x', isFresh: true, verifiedBy: 'https://example.com/SHA512SUMS', vm: 'web'})
  expect(told).toEqual([
    '[web] disk.qcow2  █████░░░░░░░░░░░░░░░   25 %  1.0 KB of 4.0 KB',
    '[web] disk.qcow2  ████████████████████  100 %  4.0 KB of 4.0 KB',
    '[web] end',
    'web: disk.qcow2: 4.0 KB in TIME, verified by https://example.com/SHA512SUMS',
  ])
})

test('an image that was there is told to who asked for it alone', () => {
  const {told, show} = open(false)
  show({type: 'image.ready', source, path: '/cache/x', isFresh: false, vm: 'web'})
  show({type: 'image.ready', source, path: '/cache/x', isFresh: false})
  show({type: 'image.ready', source: '/disk.img', path: '/disk.img', isFresh: false})
  expect(told.filter((line) => !line.endsWith('end'))).toEqual([
    'pull: disk.qcow2: already in the cache, not verified, since no checksum is given',
  ])
})

test('a push is shown from packing to its end; one that sent nothing says so', () => {
  const {told, show} = open(true)
  const target = 'oci://example.com/team/disk:1'
  show({type: 'image.packing', source: target, readBytes: 2048, totalBytes: 4096})
  show({type: 'image.pushing', source: target, sentBytes: 1024, totalBytes: 2048})
  show({type: 'image.pushed', source: target, sentBytes: 2048, sizeBytes: 2048})
  show({type: 'image.packing', source: target, readBytes: 4096, totalBytes: 4096})
  show({type: 'image.pushed', source: target, sentBytes: 0, sizeBytes: 2048})
  expect(told.map((line) => line.replace(/ in \d.*/, ' in TIME'))).toEqual([
    '[] packing dis…  ██████████░░░░░░░░░░   50 %  2.0 KB of 4.0 KB',
    '[] pushing dis…  ██████████░░░░░░░░░░   50 %  1.0 KB of 2.0 KB',
    '[] end',
    'pull: disk:1: 2.0 KB sent in TIME',
    '[] packing dis…  ████████████████████  100 %  4.0 KB of 4.0 KB',
    '[] end',
    'pull: disk:1: the registry has it already',
  ])
})

test('a slow transfer without a live line is told at each tenth, and not more often than every 5 s', () => {
  vi.useFakeTimers({toFake: ['performance']})
  const {told, show} = open(false)
  for (let second = 0; second <= 200; second++) {
    show({type: 'image.progress', source, receivedBytes: second * 1024, totalBytes: 200 * 1024, vm: 'web'})
    vi.advanceTimersByTime(1000)
  }
  expect(told.flatMap((line) => /(\d+) % of/.exec(line)?.[1] ?? [])).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100].map(String))
  const fast = open(false)
  for (let second = 0; second <= 20; second++) {
    fast.show({type: 'image.progress', source, receivedBytes: second * 1024, totalBytes: 20 * 1024, vm: 'web'})
    vi.advanceTimersByTime(1000)
  }
  vi.useRealTimers()
  expect(fast.told.filter((line) => line.includes('% of'))).toHaveLength(5)
})

import fc from 'fast-check'
import {expect, test} from 'vitest'

import {formatAge, formatDuration, formatSize, parseDuration, parseSize} from './quantity.ts'

const [KiB, MiB, GiB] = [2 ** 10, 2 ** 20, 2 ** 30]

test.each([
  ['20G', 20 * GiB],
  ['20GB', 20 * GiB],
  ['20GiB', 20 * GiB],
  ['20 gib', 20 * GiB],
  ['512m', 512 * MiB],
  ['1.5g', 1.5 * GiB],
  ['1t', 2 ** 40],
  ['7k', 7 * KiB],
  ['100b', 100],
  ['  4096 ', 4096 * MiB],
  ['0', 0],
])('the size %j', (text, bytes) => {
  expect(parseSize(text, MiB)).toBe(bytes)
})

test.each([
  '',
  ' ',
  'G',
  '-1',
  '+1',
  '1e3',
  '1,5G',
  '.5G',
  '1.',
  '1x',
  '1GG',
  '1 0',
  '0x10',
  '１',
  '0.3k',
  '99999999T',
  'NaN',
  'Infinity',
  '1G\n2',
])('%j is not a size', (text) => {
  expect(parseSize(text, MiB)).toBeUndefined()
})

test.each([
  ['30', 30_000],
  ['0', 0],
  ['90s', 90_000],
  ['2m30s', 150_000],
  ['500ms', 500],
  ['1h', 3_600_000],
  ['1.5h', 5_400_000],
  ['1h1m1s1ms', 3_661_001],
])('the duration %j', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds)
})

test.each(['', ' ', 's', '-1', '1.5', '1d', '1 s', '1s ', '1S', 's1', '1m-1s', '99999999999999999999', '1e3s'])(
  '%j is not a duration',
  (text) => {
    expect(parseDuration(text)).toBeUndefined()
  },
)

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KB'],
  [640 * MiB, '640.0 MB'],
  [1.21 * GiB, '1.21 GB'],
])('%i bytes are printed as the book does', (bytes, text) => {
  expect(formatSize(bytes)).toBe(text)
})

test.each([
  [0, '0.0 s'],
  [400, '0.4 s'],
  [9_990, '10 s'],
  [12_300, '12 s'],
  [59_700, '1 min 0 s'],
  [125_000, '2 min 5 s'],
  [3_599_000, '59 min 59 s'],
  [3_600_000, '1 h 0 min'],
  [12_000_000, '3 h 20 min'],
])('%i ms are printed as %s', (milliseconds, text) => {
  expect(formatDuration(milliseconds)).toBe(text)
})

test('whole units come back, and nothing that is parsed is unsafe', () => {
  const units = fc.constantFrom(['b', 1], ['K', KiB], ['MiB', MiB], ['gb', GiB]) as fc.Arbitrary<[string, number]>
  fc.assert(
    fc.property(fc.nat({max: 4096}), units, (amount, [unit, factor]) => {
      expect(parseSize(`${amount}${unit}`, 1)).toBe(amount * factor)
    }),
  )
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const value of [parseSize(text, MiB), parseDuration(text)])
        if (value !== undefined) expect(Number.isSafeInteger(value) && value >= 0).toBe(true)
    }),
  )
})

test.each([
  [0, 'less than a minute'],
  [60_000, '1 minute'],
  [59 * 60_000, '59 minutes'],
  [3_600_000, '1 hour'],
  [47 * 3_600_000, '47 hours'],
  [48 * 3_600_000, '2 days'],
])('%d ms ago was %s ago', (milliseconds, text) => {
  expect(formatAge(milliseconds)).toBe(text)
})

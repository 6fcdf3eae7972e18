import {resolve, sep} from 'node:path'

import fc from 'fast-check'
import {expect, test} from 'vitest'

import {createRandom, hostileText} from '../../test/fuzz/random.ts'
import {unsafePath} from './safe-path.ts'

test.each([
  ['', 'it is empty'],
  ['/', 'it is absolute'],
  ['/etc/passwd', 'it is absolute'],
  ['//x', 'it is absolute'],
  ['..', 'it leads upwards'],
  ['a/../b', 'it leads upwards'],
  ['a/..', 'it leads upwards'],
  ['.', 'it has an empty part'],
  ['./a', 'it has an empty part'],
  ['a/', 'it has an empty part'],
  ['a//b', 'it has an empty part'],
  ['a\0b', 'it contains a NUL character'],
  ['a\uFFFDb', 'it is not UTF-8'],
  ['\uD800', 'it is not Unicode'],
  ['x'.repeat(256), 'a part of it is longer than 255 bytes'],
  ['ü'.repeat(128), 'a part of it is longer than 255 bytes'],
])('%j is refused: %s', (name, reason) => {
  expect(unsafePath(name)).toBe(reason)
})

test.each(['a', '-rf', '...', '..a', 'a..', 'a/b/c', 'line\nfeed', '~', 'C:\\x', 'x'.repeat(255), '.hidden'])('%j may be used', (name) => {
  expect(unsafePath(name)).toBeUndefined()
})

const part = fc.oneof(fc.constantFrom('..', '.', '', 'a', '...', ' ', '\n', '\\', '-'), fc.string({maxLength: 8}))

test('a path that passes stays below its directory, and is the only spelling of what it names', () => {
  const seen = new Map<string, string>()
  fc.assert(
    fc.property(fc.array(part, {maxLength: 6}), (parts) => {
      const name = parts.join('/')
      if (unsafePath(name) !== undefined) return
      const path = resolve('/root/of/all', name)
      expect(path.startsWith(`/root/of/all${sep}`)).toBe(true)
      expect(seen.get(path) ?? name).toBe(name)
      seen.set(path, name)
    }),
    {numRuns: 10_000},
  )
})

test('of 100,000 hostile paths only those pass that the rules allow', () => {
  const random = createRandom(1717)
  const plain = ['a', 'b', 'c', '.', '/', '..', '...', '-', 'ü', 'x'.repeat(100)]
  const count = 100_000
  let passed = 0
  for (let round = 0; round < count; round++) {
    const path = hostileText(random, {plain, length: random.below(12)})
    const isAllowed = path.split('/').every(
      (name) =>
        !['', '.', '..'].includes(name) &&
        Buffer.from(name).length <= 255 &&
        // A text that is not Unicode, or holds the mark of bytes that are not, is another one after it was encoded and decoded.
        !name.includes('\uFFFD') &&
        Buffer.from(name).toString() === name &&
        !name.includes('\0'),
    )
    if ((unsafePath(path) === undefined) !== isAllowed) throw new Error(`${JSON.stringify(path)}: the rules say ${isAllowed}`)
    if (isAllowed) passed += 1
  }
  // Otherwise the generator would be at fault.
  expect(passed).toBeGreaterThan(count / 20)
  expect(passed).toBeLessThan((count * 9) / 10)
})

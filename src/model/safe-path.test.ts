import {resolve, sep} from 'node:path'

import fc from 'fast-check'
import {expect, test} from 'vitest'

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

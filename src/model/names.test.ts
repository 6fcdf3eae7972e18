import {dirname, join} from 'node:path'

import fc from 'fast-check'
import {expect, test} from 'vitest'

import {closest, isHostname, isUserName, isVmName} from './names.ts'

test.each(['web', 'a', '0', 'my-vm', 'my_vm', 'web.example.com', 'A1', 'x'.repeat(63)])('%j is the name of a VM', (name) => {
  expect(isVmName(name)).toBe(true)
})

test.each(['', '.', '..', 'a..b', '-a', '.a', '_a', 'a/b', 'a b', 'a\n', 'a\0', 'ä', 'x'.repeat(64), '../x', 'a,b', '~'])(
  '%j is not the name of a VM',
  (name) => {
    expect(isVmName(name)).toBe(false)
  },
)

test('no VM name leads out of its directory, into a hidden file, or into an option', () => {
  const parts = fc
    .array(fc.constantFrom('.', '..', '/', '-', 'a', 'B', '0', '_', '\\', '\n', ' ', '~', '%', ','), {maxLength: 8})
    .map((list) => list.join(''))
  fc.assert(
    fc.property(fc.oneof(parts, fc.string({unit: 'binary'})), (name) => {
      fc.pre(isVmName(name))
      expect(dirname(join('/state/vms', name))).toBe('/state/vms')
      expect(name).toMatch(/^[A-Za-z0-9]/)
      expect(Buffer.byteLength(name)).toBeLessThan(64)
    }),
    {numRuns: 100},
  )
})

test.each([
  ['web', true],
  ['web.example.com', true],
  ['a-b', true],
  ['-a', false],
  ['a-', false],
  ['a..b', false],
  ['a_b', false],
  ['', false],
  ['x'.repeat(64), false],
  [Array.from({length: 64}, () => 'abcd').join('.'), false],
])('host name %j: %s', (name, expected) => {
  expect(isHostname(name)).toBe(expected)
})

test.each([
  ['ubuntu', true],
  ['_apt', true],
  ['a-b_1', true],
  ['Root', false],
  ['1a', false],
  ['-x', false],
  ['a b', false],
  ['', false],
  ['a'.repeat(33), false],
])('user name %j: %s', (name, expected) => {
  expect(isUserName(name)).toBe(expected)
})

test.each([
  ['wbe', ['web', 'db'], 'web'],
  ['WEB', ['web'], 'web'],
  ['memmory', ['memory', 'network'], 'memory'],
  ['webb', ['web1', 'web'], 'web1'],
  ['completely-else', ['web', 'db'], undefined],
  ['x', [], undefined],
  ['', ['web'], undefined],
])('what %j was meant to be among %j', (word, candidates, expected) => {
  expect(closest(word, candidates)).toBe(expected)
})

test('one slip of the finger is always recognised', () => {
  const word = fc.stringMatching(/^[a-z]{4,12}$/)
  fc.assert(
    fc.property(word, fc.nat(), fc.constantFrom('drop', 'double', 'swap', 'other'), (right, at, slip) => {
      const index = at % (right.length - 1)
      const [head, one, two, tail] = [right.slice(0, index), right[index] ?? '', right[index + 1] ?? '', right.slice(index + 2)]
      const wrong = {
        drop: `${head}${two}${tail}`,
        double: `${head}${one}${one}${two}${tail}`,
        swap: `${head}${two}${one}${tail}`,
        other: `${head}#${two}${tail}`,
      }[slip]
      expect(closest(wrong, ['0123456789', right])).toBe(right)
    }),
  )
})

import {readdirSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'

import fc from 'fast-check'
import {expect, test} from 'vitest'

import {createRandom, hostileText} from '../../test/fuzz/random.ts'

import {closest, isDnsLabel, isHostname, isUserName, isVmName, suggest} from './names.ts'

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

/** The rules, letter by letter instead of by the regular expressions that are tested. */
const only = (allowed: string, text: string): boolean => {
  for (const character of text) if (!allowed.includes(character)) return false
  return true
}
const small = 'abcdefghijklmnopqrstuvwxyz'
const digits = '0123456789'
const alphanumeric = small + small.toUpperCase() + digits
const isLabel = (text: string): boolean =>
  text.length >= 1 && text.length <= 63 && only(`${alphanumeric}-`, text) && !text.startsWith('-') && !text.endsWith('-')
const rules: ReadonlyMap<(name: string) => boolean, (name: string) => boolean> = new Map([
  [
    isVmName,
    (name) =>
      name.length >= 1 &&
      name.length <= 63 &&
      only(`${alphanumeric}._-`, name) &&
      only(alphanumeric, name.charAt(0)) &&
      !name.includes('..'),
  ],
  [isHostname, (name) => name.length <= 253 && name.split('.').every(isLabel)],
  [isDnsLabel, isLabel],
  [isUserName, (name) => name.length >= 1 && name.length <= 32 && only(`${small}${digits}_-`, name) && !only(`${digits}-`, name.charAt(0))],
])

test('of 100,000 hostile strings only those pass that the rules allow, as names of VMs, hosts and users', () => {
  const random = createRandom(17)
  const plain = Array.from(`${alphanumeric}._-`)
  const count = 100_000
  const passed = new Map<(name: string) => boolean, number>()
  for (let round = 0; round < count; round++) {
    const name = hostileText(random, {plain, length: random.oneIn(8) ? 30 + random.below(40) : random.below(9)})
    for (const [isValid, rule] of rules) {
      const isPassed = isValid(name)
      if (isPassed !== rule(name)) throw new Error(`${JSON.stringify(name)}: ${isPassed}, but the rule says otherwise`)
      if (isPassed) passed.set(isValid, (passed.get(isValid) ?? 0) + 1)
    }
  }
  // Otherwise the generator would be at fault.
  for (const isValid of rules.keys()) {
    expect(passed.get(isValid)).toBeGreaterThan(count / 50)
    expect(passed.get(isValid)).toBeLessThan((count * 9) / 10)
  }
})

test('what was probably meant stands between quotes, and nothing is said of what is far', () => {
  expect(suggest('wbe', ['db', 'web'])).toBe('Did you mean "web"?')
  expect(suggest('wbe', ['db', 'web'], 'Run it.')).toBe('Did you mean "web"? Run it.')
  expect(suggest('cache', ['db', 'web'], 'Run it.')).toBeUndefined()
})

test('nobody writes the question by hand', () => {
  const source = join(import.meta.dirname, '..')
  const texts = readdirSync(source, {recursive: true, encoding: 'utf8'}).filter((path) => /(?<!\.test)\.ts$/.test(path))
  // Commands stand between backquotes, and flags by themselves.
  const byHand = texts.filter((path) => /did you mean (?!\\`|--)"?\$\{/i.test(readFileSync(join(source, path), 'utf8')))
  expect(byHand).toEqual(['model/names.ts'])
})

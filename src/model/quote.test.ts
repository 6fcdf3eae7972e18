import {execFileSync} from 'node:child_process'

import fc from 'fast-check'
import {describe, expect, test} from 'vitest'

import {guestShells} from '../../test/support/shells.ts'
import {quote, quoteAll} from './quote.ts'

/** What /bin/sh makes of some words: one process for all of them. */
const throughShell = (words: readonly string[]): string[] =>
  execFileSync('/bin/sh', ['-c', `printf '%s\\0' ${quoteAll(words)}`], {encoding: 'utf8', maxBuffer: 64 * 2 ** 20})
    .split('\0')
    .slice(0, -1)

test('every character from 0x01 to 0xff comes back, alone and in company', () => {
  const characters = Array.from({length: 255}, (_, index) => String.fromCharCode(index + 1))
  const words = [
    ...characters,
    ...characters.map((character) => `a${character}b${character}`),
    characters.join(''),
    characters.toReversed().join(''),
  ]
  expect(throughShell(words)).toEqual(words)
})

describe.each(guestShells())('by $name', ({missing, sh}) => {
  test.skipIf(missing)('every byte from 0x01 to 0xff comes back', () => {
    const bytes = Buffer.from(Array.from({length: 255}, (_, index) => index + 1))
    const words = [bytes, bytes.toReversed(), Buffer.concat([bytes, Buffer.from("'"), bytes])].map((word) => word.toString('latin1'))
    const script = Buffer.from(`printf '%s\\0' ${quoteAll(words)}`, 'latin1')
    const output = execFileSync(sh, [], {input: script, env: {...process.env, LC_ALL: 'C'}})
    expect(output.toString('latin1').split('\0').slice(0, -1)).toEqual(words)
  })
})

test('every byte from 0x01 to 0xff comes back, whatever its encoding', () => {
  const bytes = Buffer.from(Array.from({length: 255}, (_, index) => index + 1))
  // The command travels as a file, since arguments of Node programs are UTF-8.
  const script = Buffer.from(`printf %s ${quote(bytes.toString('latin1'))}`, 'latin1')
  expect(execFileSync('/bin/sh', [], {input: script, env: {LC_ALL: 'C'}})).toEqual(bytes)
})

test('random words come back', () => {
  const word = fc.string({unit: 'binary', maxLength: 40}).filter((text) => !text.includes('\0') && text.isWellFormed())
  fc.assert(
    fc.property(fc.array(word, {minLength: 50, maxLength: 200}), (words) => {
      expect(throughShell(words)).toEqual(words)
    }),
    {numRuns: 5},
  )
})

test('the empty word stays a word, NUL is refused', () => {
  expect(quote('')).toBe("''")
  expect(throughShell(['', 'x', ''])).toEqual(['', 'x', ''])
  expect(() => quote('a\0b')).toThrow(RangeError)
})

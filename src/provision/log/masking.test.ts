import fc from 'fast-check'
import {expect, test} from 'vitest'

import {masking} from './masking.ts'

const run = (values: readonly string[], chunks: readonly Uint8Array[]): string => {
  const stream = masking(values)
  return Buffer.concat([...chunks.map((chunk) => stream.next(chunk)), stream.end()]).toString()
}

test('secrets are masked wherever the chunks are cut', () => {
  const text = 'a hunter22 b hunter2 c päss\nwörd d hunterhunter22'
  for (let first = 0; first <= Buffer.byteLength(text); first++) {
    const bytes = Buffer.from(text)
    expect(run(['hunter2', 'hunter22', 'päss\nwörd'], [bytes.subarray(0, first), bytes.subarray(first)])).toBe(
      'a ******** b ******* c *********** d hunter********',
    )
  }
})

test('a value of three characters is not masked; what only begins like a secret comes out at the end', () => {
  expect(run(['abc', ''], [Buffer.from('abc')])).toBe('abc')
  expect(run(['secret'], [Buffer.from('sec'), Buffer.from('ond secre')])).toBe('second secre')
})

test('whatever the cuts: no secret comes out, and nothing else is changed', () => {
  const secret = fc.stringMatching(/^[ab]{4,7}$/)
  fc.assert(
    fc.property(
      fc.array(secret, {minLength: 1, maxLength: 3}),
      fc.array(fc.stringMatching(/^[abc]{0,9}$/), {maxLength: 8}),
      (secrets, pieces) => {
        const out = run(
          secrets,
          pieces.map((piece) => Buffer.from(piece)),
        )
        for (const value of secrets) expect(out).not.toContain(value)
        const whole = pieces.join('')
        if (!secrets.some((value) => whole.includes(value))) expect(out).toBe(whole)
        // The log's length tells how far a step was followed.
        expect(out).toHaveLength(whole.length)
      },
    ),
    {numRuns: 2000},
  )
})

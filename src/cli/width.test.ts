import fc from 'fast-check'
import {expect, test} from 'vitest'

import {cut, fit, widthOf, wrap} from './width.ts'

test.each([
  ['hello', 5, 'hello'],
  ['hello', 4, 'hel…'],
  ['hello', 1, '…'],
  ['hello', 0, ''],
  ['日本語', 5, '日本…'],
  ['日本語', 4, '日…'],
  ['👨‍👩‍👧 family', 4, '👨‍👩‍👧 …'],
  ['e\u0301e\u0301e\u0301', 2, 'e\u0301…'],
])('%j in %i columns is %j', (text, width, expected) => {
  expect(cut(text, width)).toBe(expected)
})

test('a filled text has the width that was asked for', () => {
  fc.assert(
    fc.property(
      fc.string({unit: 'grapheme', maxLength: 40}).filter((text) => !/\p{Cc}/u.test(text)),
      fc.integer({min: 1, max: 50}),
      (text, width) => {
        expect(widthOf(cut(text, width))).toBeLessThanOrEqual(width)
        if (widthOf(text) <= width) expect(fit(text, width).trimEnd()).toBe(text.trimEnd())
      },
    ),
  )
  expect(fit('日本', 6)).toBe('日本  ')
})

test('lines are broken at spaces only', () => {
  const key = `SHA256:${'x'.repeat(43)}`
  expect(wrap(`web: the guest has its own host key, trusted from now on: ${key}`, 79)).toBe(
    `web: the guest has its own host key, trusted from now on:\n  ${key}`,
  )
  expect(wrap('short\n  two words', 79)).toBe('short\n  two words')
  expect(wrap(`${'y'.repeat(50)} z`, 20)).toBe(`${'y'.repeat(50)}\n  z`)
})

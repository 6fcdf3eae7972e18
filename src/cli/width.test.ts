import fc from 'fast-check'
import stringWidth from 'string-width'
import {expect, test} from 'vitest'

import {displayWidth} from '../model/display-width.ts'
import {cut, fit} from './width.ts'
import {wrapLines} from './wrap.ts'

test.each([
  ['hello', 5, 'hello'],
  ['hello', 4, 'hel…'],
  ['hello', 1, '…'],
  ['hello', 0, ''],
  ['日本語', 5, '日本…'],
  ['日本語', 4, '日…'],
  ['👨‍👩‍👧 family', 4, '👨‍👩‍👧…'],
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
        expect(displayWidth(cut(text, width))).toBeLessThanOrEqual(width)
        if (displayWidth(text) <= width) expect(fit(text, width).trimEnd()).toBe(text.trimEnd())
      },
    ),
  )
  expect(fit('日本', 6)).toBe('日本  ')
})

test('lines are broken at spaces only', () => {
  const key = `SHA256:${'x'.repeat(43)}`
  expect(wrapLines(`web: the guest has its own host key, trusted from now on: ${key}`, 79)).toBe(
    `web: the guest has its own host key, trusted from now on:\n  ${key}`,
  )
  expect(wrapLines('short\n  two words', 79)).toBe('short\n  two words')
  expect(wrapLines(`${'y'.repeat(50)} z`, 20)).toBe(`${'y'.repeat(50)}\n  z`)
})

test('the width is the one that string-width has', () => {
  // Of the scripts that people write names and sentences in.
  const scripts = 'Straße Ærø Ελλάδα Київ ไทย עברית العربية 数据库 ひらがな カタカナ 한국어 ｆｕｌｌ １２ é ñ ✔ ✘ → … — « » 🚀 👍🏽 👨‍👩‍👧 ❤️ 🇩🇪'
  const characters = [...new Intl.Segmenter().segment(scripts)].map(({segment}) => segment)
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...characters), {maxLength: 12}), (parts) => {
      expect(displayWidth(parts.join(''))).toBe(stringWidth(parts.join('')))
    }),
    {numRuns: 1000},
  )
})

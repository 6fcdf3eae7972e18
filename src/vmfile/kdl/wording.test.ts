import {expect, test} from 'vitest'

import {quoted} from './wording.ts'

test.each([
  ['a "b"', '"a \\"b\\""'],
  ['a\nb\u001b[0m', '"a\\nb\\u001b[0m"'],
  ['\u007f\u0080\u009b31m', '"\\u007f\\u0080\\u009b31m"'],
  ['x'.repeat(100), `"${'x'.repeat(60)}…"`],
])('%j is fit for a line', (text, expected) => {
  expect(quoted(text)).toBe(expected)
})

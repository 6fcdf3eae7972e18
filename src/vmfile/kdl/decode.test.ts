import {expect, test} from 'vitest'

import {decodeNumber, decodeString} from './decode.ts'

test.each([
  ['0', 0],
  ['-0x1F', -31],
  ['+0xff_ff', 65_535],
  ['0o17', 15],
  ['0b1_01', 5],
  ['1_000.5e-1_', 100.05],
  ['-2.5E+3', -2500],
  ['007', 7],
])('the number %s', (image, value) => {
  expect(decodeNumber(image)).toBe(value)
})

test.each([
  ['""', ''],
  [String.raw`"\n\r\t\\\"\b\f\s\u{1F600}"`, '\n\r\t\\"\b\f 😀'],
  ['"a \\  \r\n \u2028 b"', 'a b'],
  [String.raw`"\\n"`, '\\n'],
  ['#""#', ''],
  [String.raw`##"a"#\n"##`, String.raw`a"#\n`],
  ['"""\n"""', ''],
  ['"""\n\n"""', ''],
  ['"""\n  a\r\n\r\n    b\u2028  "c"\n  """', 'a\n\n  b\n"c"'],
  ['"""\n\ta \\\n   b\\n\n\t"""', 'a b\n'],
  [String.raw`"""` + '\n  \\s\\\\\n  """', ' \\'],
  ['"""\n  a\n  \\\n  """', 'a'],
  ['#"""\n  \\n\n  """#', '\\n'],
  ['"""\n  a\\\n b\n c\n  """', undefined],
])('the string %j', (image, text) => {
  expect(decodeString(image)).toBe(text)
})

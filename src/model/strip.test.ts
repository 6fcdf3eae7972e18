import fc from 'fast-check'
import {expect, test} from 'vitest'

import {mayHaveControls, stripControls} from './strip.ts'

test.each([
  ['colours', '\u001b[1;31mred\u001b[0m text', 'red text'],
  ['cursor and erase', 'a\u001b[2J\u001b[Hb\u001b[?25lc', 'abc'],
  ['a title ended by BEL', '\u001b]0;evil\u0007shell', 'shell'],
  ['a title ended by ST', '\u001b]0;evil\u001b\\shell', 'shell'],
  ['a hyperlink', '\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\', 'link'],
  ['8-bit CSI and OSC', '\u009b31mred\u009d0;t\u009ctail', 'redtail'],
  ['a device control string', '\u001bP1$r\u001b\\x', 'x'],
  ['charset and reset escapes', '\u001b(B\u001bcok\u001b7\u001b8', 'ok'],
  ['an escape inside a string', '\u001b]0;title\u001b[31mred', 'red'],
  ['a sequence that is cut off', 'text\u001b[31', 'text'],
  ['a string that is cut off', 'text\u001b]0;never ends', 'text'],
  ['a lone escape', 'text\u001b', 'text'],
  ['bells, backspaces, NUL and DEL', 'a\u0007b\u0008c\u0000d\u007f', 'abcd'],
  ['CR LF and a lone CR', 'one\r\ntwo\rthree', 'one\ntwothree'],
  ['tabs, line feeds and letters of all kinds', 'a\tb\nä→日本🙂', 'a\tb\nä→日本🙂'],
])('%s', (_, input, expected) => {
  expect(stripControls(input)).toBe(expected)
})

test('no control character survives, and a second pass changes nothing', () => {
  const nasty = fc.array(
    fc.oneof(fc.constantFrom('\u001b', '[', ']', '\u009b', '\u0007', '\u001b\\', '\r', '\n', '\t', ';', '0'), fc.string({unit: 'binary'})),
  )
  fc.assert(
    fc.property(nasty, (parts) => {
      const text = stripControls(parts.join(''))
      expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
      expect(stripControls(text)).toBe(text)
      if (!mayHaveControls(Buffer.from(parts.join('')))) expect(text).toBe(parts.join(''))
    }),
    {numRuns: 2000},
  )
})

test('lines of plain text are known to have no controls, and a control is found wherever it stands', () => {
  expect(mayHaveControls(Buffer.from('a\tb\nä→日本🙂'))).toBe(false)
  expect(mayHaveControls(Buffer.alloc(0))).toBe(false)
  for (const control of ['\0', '\u0007', '\r', '\u001b', '\u007f', '\u0080', '\u009b', '\u009f']) {
    for (let at = 0; at <= 10; at++) {
      const bytes = Buffer.from(`${'~'.repeat(at)}${control}${' '.repeat(10 - at)}\n`)
      expect(mayHaveControls(bytes), JSON.stringify(bytes.toString())).toBe(true)
    }
    // However few bytes there are, and wherever they lie in memory.
    for (let length = 0; length <= 12; length++) {
      for (let shift = 0; shift < 8; shift++) {
        const plain = Buffer.from(`${control.repeat(shift)}${'x'.repeat(length)}`).subarray(-length || Infinity)
        expect(mayHaveControls(plain), `${length} bytes`).toBe(false)
        const last = Buffer.concat([Buffer.alloc(shift), plain, Buffer.from(control)]).subarray(shift)
        expect(mayHaveControls(last), `${length} bytes`).toBe(true)
      }
    }
  }
})

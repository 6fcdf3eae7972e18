import {strict as assert} from 'node:assert'

import {stripControls} from '../../../src/model/strip.ts'
import {pureTrial, type Target} from '../target.ts'

export const guestText: Target = {
  about: 'text of a guest on its way to the terminal',
  dictionary: [
    '\u001B',
    '\u001B[',
    '\u001B]0;',
    '\u0007',
    '\u001B\\',
    '\u009B',
    '\u009D',
    '\u009C',
    'm',
    '\r\n',
    '\u001BP',
    '\u001B(B',
    '\u0090',
    '\u0018',
    '?25l',
    '\u202E',
  ],
  open: () =>
    pureTrial((input) => {
      for (const text of [input.toString(), input.toString('latin1')]) {
        const shown = stripControls(text)
        assert.match(shown, /^[^\x00-\x08\x0B-\x1F\x7F-\x9F]*$/)
        assert.ok(shown.length <= text.length)
        assert.equal(stripControls(shown), shown)
      }
    }),
}

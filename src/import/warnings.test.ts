import {expect, test} from 'vitest'

import {collectWarnings} from './warnings.ts'

test('what happens in several places is said once, with all of them', () => {
  const warnings = collectWarnings()
  warnings.atLine(9, 'a')
  warnings.about('web', 'b')
  warnings.atLine([3, 5], 'a')
  warnings.atLine(4, 'a')
  warnings.about('db', 'b')
  warnings.about('db', 'b')
  warnings.atLine(7, 'c')
  expect(warnings.list()).toEqual(['lines 3-5, 9: a', 'web, db: b', 'line 7: c'])
})

import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {findPanic} from './panic.ts'

const last = '[   12.345678] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\r\n'
const before = `${'x'.repeat(5000)}\r\n[   12.300000] Kernel panic - not syncing: sysrq triggered crash\r\n[   12.310000] Call Trace:\r\n`

test.each([
  ['a kernel that hangs', `${before}${last}`, 'sysrq triggered crash'],
  [
    'one whose message does not fit',
    `${before}---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100 ]---\n`,
    'Attempted to kill init! exitcode=0x00000100',
  ],
  ['one that a guest has made up', '---[ end Kernel panic - not syncing: \u001B[2Jboo\u0007 ]---\n', 'boo'],
  ['one that is still at it, or reboots', before, undefined],
  ['one that was started anew since', `${before}${last}\n`, undefined],
  ['one that says more', `${before}${last}login: `, undefined],
  ['none', '', undefined],
])('of %s', async (_what, text, reason) => {
  const path = join(temporaryDirectory(), 'console.log')
  writeFileSync(path, text)
  expect(await findPanic(path)).toBe(reason)
})

test('of a guest whose console was never logged', async () => {
  expect(await findPanic(join(temporaryDirectory(), 'console.log'))).toBeUndefined()
})

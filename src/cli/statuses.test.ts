import {expect, test} from 'vitest'

import {statuses} from './statuses.ts'

test('a status ends with what it belongs to, and the one around it is shown again', () => {
  let now = 0
  const all = statuses(() => now)
  all.set('web', 'action', 'waiting for the guest')
  now = 5000
  all.set('web', 'guest', 'booting')
  now = 9000
  all.set('web', 'guest', 'logging in')
  expect(all.line(now)).toBe('web: logging in 4s')
  all.end('web', 'guest')
  expect(all.line(now)).toBe('web: waiting for the guest 9s')
  all.set('web', 'step', 'step 1/2')
  all.set('db', 'action', 'creating')
  expect(all.line(now)).toBe('web: step 1/2 0s · db: creating 0s')
  all.end('web', 'action')
  expect(all.line(now)).toBe('db: creating 0s')
  all.end('db')
  expect(all.line(now)).toBe('')
})

test('the end of what has not begun changes nothing', () => {
  const all = statuses(() => 0)
  all.end('web', 'copy')
  all.set('web', 'copy', 'copying')
  all.end('web', 'image')
  expect(all.line(0)).toBe('web: copying 0s')
})

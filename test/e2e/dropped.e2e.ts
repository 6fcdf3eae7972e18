import {expect, test} from 'vitest'

import {dropped} from '../torture/dropped.ts'
import {impostor} from '../torture/impostor.ts'

// `npm run test:torture` does each a hundred times; here a few have to do.
test('a step whose connection is cut runs once, and its output is whole', async () => {
  for await (const {wrong, trials} of dropped.rows({trials: 3})) expect({trials, wrong}).toEqual({trials: 3, wrong: []})
})

test('another SSH server on the port of the guest is refused, on every way, and gets no log-in', async () => {
  let ways = 0
  for await (const {what, wrong} of impostor.rows({trials: 8})) {
    expect(wrong, what).toEqual([])
    ways++
  }
  expect(ways).toBe(8)
})

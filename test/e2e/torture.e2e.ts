import {expect, inject, test} from 'vitest'

import {testUnless} from '../support/programs.ts'
import {sshdMissing} from '../support/sshd.ts'
import {figures} from '../torture/figures.ts'
import {stackMissing} from '../torture/stack-world.ts'

// `npm run test:torture` shows the figures in full; here a few trials of the first rows of each have to do.
const samples = {
  F1: {trials: 3, rows: 2},
  F2: {trials: 9, rows: 1},
  F3: {trials: 1, rows: 1},
  STACK: {trials: 1, rows: 2},
  F4: {trials: 10, rows: 2},
  F5: {trials: 20, rows: 2},
  F6: {trials: 32, rows: 1},
  PAIRS: {trials: 4, rows: 1},
  F8: {trials: 2, rows: 5},
  F12: {trials: 2, rows: 1},
}

/** Figures whose samples are tests of their own. */
const elsewhere = ['F7', 'F11', 'F9', 'F31']

test('every figure has its sample', () => {
  expect(figures.map(({id}) => id).filter((id) => !elsewhere.includes(id))).toEqual(Object.keys(samples))
})

const missing = inject('cannotRun') || sshdMissing() || undefined

for (const [id, {trials, rows}] of Object.entries(samples)) {
  const lacking = missing ?? (id === 'STACK' ? stackMissing() : undefined)
  testUnless(lacking)(`${id}: nothing goes wrong`, {timeout: 300_000}, async () => {
    const figure = figures.find((one) => one.id === id)
    const seed = Date.now() % 1_000_000
    let count = 0
    for await (const row of figure?.rows({trials, jobs: 2, seed}) ?? []) {
      expect(row, `seed ${seed}`).toMatchObject({wrong: []})
      expect(row.trials).toBeGreaterThan(0)
      count += 1
      if (count === rows) break
    }
    expect(count).toBeGreaterThan(0)
  })
}

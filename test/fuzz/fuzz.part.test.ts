import {expect, test} from 'vitest'

import {fuzzTarget} from './fuzz.ts'
import {targets} from './targets.ts'

/** Every sample of the corpus, and the first changed ones of a fixed seed. `npm run fuzz` goes on from there. */
const sample = {seed: 1, runs: 2000, seconds: 0.5}

test.each(Object.keys(targets))('%s: no input does what it must not', async (name) => {
  const {tried, defect} = await fuzzTarget(name, sample)
  expect(defect?.what).toBeUndefined()
  expect(tried).toBeGreaterThan(1)
})

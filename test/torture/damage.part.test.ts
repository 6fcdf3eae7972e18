import {expect, test} from 'vitest'

import {DamageLab, flips, truncations} from './bit-flips.ts'

// `npm run test:torture` tries every length and 10,000 flips.
test('a damaged file of the state directory is recovered from or told, and costs no disk and no key', async () => {
  await using lab = await DamageLab.open()
  const files = lab.files()
  expect(files.size).toBeGreaterThanOrEqual(10)
  const lengths = truncations(files).filter((_, index) => index % 199 === 0)
  for (const damage of [...lengths, ...flips(files, {count: 40, seed: 7})]) expect(await lab.try(damage)).toEqual([])
}, 120_000)

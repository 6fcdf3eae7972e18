import {afterAll, beforeAll, expect, test} from 'vitest'

import {startSshd, type TestSshd} from '../support/sshd.ts'
import {countPoints, killAt, scenarios} from '../torture/kill-points.ts'

// `npm run test:torture` tries every point of every command; here a few of the most important one have to do.
let sshd: TestSshd

beforeAll(async () => {
  sshd = await startSshd()
})

afterAll(async () => {
  await sshd[Symbol.asyncDispose]()
})

test('up that was killed at a durable act is put right by one more up, and no step runs twice', async () => {
  const [up] = scenarios
  if (!up) throw new Error('There is no scenario.')
  const points = await countPoints(sshd, up)
  expect(points).toBeGreaterThan(50)
  for (const part of [0.1, 0.35, 0.5, 0.65, 0.9]) {
    const point = Math.ceil(points * part)
    expect(await killAt(sshd, up, point), `killed at point ${point} of ${points}`).toEqual([])
  }
})

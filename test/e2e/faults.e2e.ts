import {afterAll, beforeAll, expect, test} from 'vitest'

import {FaultBench, type FaultError, FaultLab, faultScenarios} from '../torture/faults.ts'

// `npm run test:torture` makes every operation of every command fail; here a few of each command have to do.
let lab: FaultLab

beforeAll(async () => {
  lab = await FaultLab.open()
})

afterAll(async () => {
  await lab[Symbol.asyncDispose]()
})

const samples: readonly (readonly [scenario: string, error: FaultError])[] = [
  ['up, new', 'ENOSPC'],
  ['up, stopped', 'EIO'],
  ['provision', 'ENOSPC'],
  ['down --destroy', 'EROFS'],
  ['create, QEMU', 'EMFILE'],
  ['destroy, QEMU', 'EIO'],
  ['image pull', 'ENOSPC'],
]

test.each(samples)('%s with %s: an error with a code, nothing lost, and the second run works', async (name, error) => {
  const scenario = faultScenarios.find((each) => each.name === name)
  if (!scenario) throw new Error(`There is no scenario ${name}.`)
  using bench = await FaultBench.open(lab, scenario)
  const operations = await bench.operations(error)
  expect(operations.length).toBeGreaterThan(4)
  for (const [part, lasts] of [
    [0.3, true],
    [0.6, false],
    [0.95, true],
  ] as const) {
    const at = Math.ceil(operations.length * part)
    expect(await bench.try({error, at, lasts}), operations[at - 1]).toEqual([])
  }
})

test('a journal that fails while a step has begun ends the command, and no timer keeps it', async () => {
  const [scenario] = faultScenarios
  if (!scenario) throw new Error('There is no scenario.')
  using bench = await FaultBench.open(lab, scenario)
  const operations = await bench.operations('ENOSPC')
  const begun = operations.findIndex((operation) => operation.includes('provision.index'))
  const at = operations.findIndex((operation, index) => index > begun && operation.endsWith('rename /vms/web/journal.json')) + 2
  expect(operations[at - 1]).toMatch(/fsync \/vms\/web$/)
  expect(await bench.try({error: 'ENOSPC', at, lasts: false})).toEqual([])
})

test('a record that cannot be written once the guest is ready ends the command, which does not wait for its connection', async () => {
  const [scenario] = faultScenarios
  if (!scenario) throw new Error('There is no scenario.')
  using bench = await FaultBench.open(lab, scenario)
  const operations = await bench.operations('EROFS')
  const at = operations.findIndex((operation) => operation.includes('guest.json')) + 1
  expect(at).toBeGreaterThan(0)
  expect(await bench.try({error: 'EROFS', at, lasts: false})).toEqual([])
})

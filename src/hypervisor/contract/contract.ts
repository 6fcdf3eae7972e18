import {afterEach, beforeEach, describe, expect, test} from 'vitest'

import {type Bench, type HypervisorHarness, type It, openBench} from './bench.ts'
import {testCheckpoints} from './checkpoints.ts'
import {testLayers} from './layers.ts'
import {testLife} from './life.ts'
import {testSaved} from './saved.ts'
import {testSight} from './sight.ts'

export type {HypervisorHarness} from './bench.ts'

export interface HypervisorContract {
  readonly create: () => Promise<HypervisorHarness>
  /** Tests that this backend cannot pass, by their names, and why. */
  readonly skip?: readonly {readonly reason: string; readonly tests: readonly string[]}[]
}

/** The tests that every backend has to pass. Call it in a file of Vitest tests. */
export const testHypervisor = ({create, skip = []}: HypervisorContract): void => {
  describe('the contract of a hypervisor', () => {
    let bench: Bench
    beforeEach(async () => {
      bench = openBench(await create())
    })
    afterEach(() => bench.harness.cleanup())

    const names = new Set<string>()
    const it: It = (name, body) => {
      names.add(name)
      const reason = skip.find(({tests}) => tests.includes(name))?.reason
      test.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (skipped: ${reason})`, (context) => body(bench, context))
    }
    testLife(it)
    testCheckpoints(it)
    testLayers(it)
    testSaved(it)
    testSight(it)

    test('every skipped test exists', () => {
      expect(skip.flatMap(({tests}) => tests).filter((name) => !names.has(name))).toEqual([])
    })
  })
}

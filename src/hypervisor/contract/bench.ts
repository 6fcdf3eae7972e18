import {expect, type TestContext} from 'vitest'

import type {Vm} from '../../model/vm.ts'
import type {Hypervisor, OperationOptions} from '../hypervisor.ts'

/** What the suite needs of a backend. Every test gets one of its own. */
export interface HypervisorHarness {
  readonly hypervisor: Hypervisor
  /** A VM with a directory and a base image that can be used; its phase is `prepared` and nothing was done to it. */
  makeVm(overrides?: Partial<Vm>): Promise<Vm>
  /** Removes what is left, whatever the test has done. */
  cleanup(): Promise<void>
  /** Milliseconds that `stop` gives a guest before it is forced off; 300 when absent. */
  readonly stopTimeoutMs?: number
  /** Every process of the VM that can be found, by other means than the backend's own records. */
  processes?(vm: Vm): Promise<readonly number[]>
  /** What the VM holds outside of its directory (devices, sockets, records), in words. */
  leftovers?(vm: Vm): Promise<readonly string[]>
  /** What a guest, or who looks over its shoulder, can read of its seed, as text. */
  seen?(vm: Vm): Promise<string>
  /** Starts an innocent process and makes the backend's records name it as the VM's, as when a PID was given to another. */
  forge?(vm: Vm): Promise<{readonly pid: number}>
}

/** What every test of the contract works with. */
export interface Bench {
  readonly harness: HypervisorHarness
  readonly hypervisor: Hypervisor
  /** Makes a VM and prepares it. */
  prepare(overrides?: Partial<Vm>): Promise<Vm>
  /** Starts a VM; the record that comes back says so, as the engine would write it. */
  start(vm: Vm): Promise<Vm>
  stop(vm: Vm): Promise<void>
  stateOf(vm: Vm): Promise<string>
  expectNothingRuns(vm: Vm): Promise<void>
}

/** Declares one test of the contract. */
export type It = (name: string, body: (bench: Bench, context: TestContext) => Promise<void>) => void

export const signal = (): AbortSignal => new AbortController().signal

export const openBench = (harness: HypervisorHarness): Bench => {
  const {hypervisor} = harness
  const made: Vm[] = []
  /** As the engine has it. */
  const operation = (vm: Vm): OperationOptions => ({
    signal: signal(),
    neighbours: async () => {
      const others = made.filter(({directory}) => directory !== vm.directory)
      return (await Promise.all(others.map(async ({directory}) => hypervisor.holds?.(directory)))).filter(
        (holding) => holding !== undefined,
      )
    },
  })
  return {
    harness,
    hypervisor,
    async prepare(overrides = {}) {
      const vm = await harness.makeVm(overrides)
      made.push(vm)
      await hypervisor.prepare(vm, operation(vm))
      return vm
    },
    async start(vm) {
      await hypervisor.start(vm, operation(vm))
      return {...vm, phase: 'started'}
    },
    stop: (vm) => hypervisor.stop(vm, {signal: signal(), timeoutMs: harness.stopTimeoutMs ?? 300}),
    stateOf: async (vm) => (await hypervisor.observe(vm)).state,
    async expectNothingRuns(vm) {
      const {pid, state} = await hypervisor.observe(vm)
      expect(pid).toBeUndefined()
      expect(['running', 'suspended']).not.toContain(state)
      expect((await harness.processes?.(vm)) ?? []).toEqual([])
    },
  }
}

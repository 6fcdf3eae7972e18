import {readdir, readFile, stat} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {afterEach, beforeEach, describe, expect, test, type TestContext} from 'vitest'

import type {Vm} from '../model/vm.ts'
import type {Hypervisor} from './hypervisor.ts'

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
  /** Starts an innocent process and makes the backend's records name it as the VM's, as when a PID was given to another. */
  forge?(vm: Vm): Promise<{readonly pid: number}>
}

export interface HypervisorContract {
  readonly create: () => Promise<HypervisorHarness>
  /** Tests that this backend cannot pass, by their names, and why. */
  readonly skip?: readonly {readonly reason: string; readonly tests: readonly string[]}[]
}

const signal = (): AbortSignal => new AbortController().signal

/** The tests that every backend has to pass. Call it in a file of Vitest tests. */
export const testHypervisor = ({create, skip = []}: HypervisorContract): void => {
  describe('the contract of a hypervisor', () => {
    let harness: HypervisorHarness
    let hypervisor: Hypervisor
    beforeEach(async () => {
      harness = await create()
      hypervisor = harness.hypervisor
    })
    afterEach(() => harness.cleanup())

    const names = new Set<string>()
    const it = (name: string, body: (context: TestContext) => Promise<void>): void => {
      names.add(name)
      const reason = skip.find(({tests}) => tests.includes(name))?.reason
      test.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (skipped: ${reason})`, body)
    }

    const prepare = async (overrides: Partial<Vm> = {}): Promise<Vm> => {
      const vm = await harness.makeVm(overrides)
      await hypervisor.prepare(vm, {signal: signal()})
      return vm
    }
    /** Starts a VM; the record that comes back says so, as the engine would write it. */
    const start = async (vm: Vm): Promise<Vm> => {
      await hypervisor.start(vm, {signal: signal()})
      return {...vm, phase: 'started'}
    }
    const stop = (vm: Vm): Promise<void> => hypervisor.stop(vm, {signal: signal(), timeoutMs: harness.stopTimeoutMs ?? 300})
    const stateOf = async (vm: Vm): Promise<string> => (await hypervisor.observe(vm)).state
    const expectNothingRuns = async (vm: Vm): Promise<void> => {
      const {pid, state} = await hypervisor.observe(vm)
      expect(pid).toBeUndefined()
      expect(['running', 'suspended']).not.toContain(state)
      expect((await harness.processes?.(vm)) ?? []).toEqual([])
    }

    it('it can run here, and accepts the spec', async () => {
      expect(hypervisor.name).toMatch(/^[a-z][a-z0-9-]*$/)
      expect(await hypervisor.unavailable()).toBeUndefined()
      const {spec} = await harness.makeVm()
      await hypervisor.check(spec)
    })

    it('a life: prepared, running, stopped, running, stopped', async () => {
      const vm = await prepare()
      expect(await stateOf(vm)).toBe('prepared')
      const started = await start(vm)
      expect(await stateOf(started)).toBe('running')
      await stop(started)
      expect(await stateOf(started)).toBe('stopped')
      await expectNothingRuns(started)
      await start(started)
      expect(await stateOf(started)).toBe('running')
      await stop(started)
      await expectNothingRuns(started)
    })

    it('a failure on record is the state of a VM at rest', async () => {
      const vm = await prepare({failure: {operation: 'start', message: 'no', at: '2026-01-01T00:00:00Z'}})
      expect(await stateOf(vm)).toBe('failed')
      expect(await stateOf(await start(vm))).toBe('running')
    })

    it('prepare keeps what exists', async () => {
      const vm = await prepare()
      const before = await inodes(vm.directory)
      const observed = await hypervisor.observe(vm)
      await hypervisor.prepare(vm, {signal: signal()})
      expect(await inodes(vm.directory)).toEqual(before)
      expect(await hypervisor.observe(vm)).toEqual(observed)
      const started = await start(vm)
      await hypervisor.prepare(started, {signal: signal()})
      expect(await stateOf(started)).toBe('running')
    })

    it('start twice is one VM', async () => {
      const vm = await start(await prepare())
      const {pid} = await hypervisor.observe(vm)
      await hypervisor.start(vm, {signal: signal()})
      expect((await hypervisor.observe(vm)).pid).toBe(pid)
      if (harness.processes) expect(await harness.processes(vm)).toHaveLength(1)
    })

    it('stop of a VM that does not run does nothing', async () => {
      const vm = await prepare()
      await stop(vm)
      expect(await stateOf(vm)).toBe('prepared')
      const started = await start(vm)
      await stop(started)
      await stop(started)
      expect(await stateOf(started)).toBe('stopped')
    })

    it('a guest that does not react is forced off', async () => {
      const vm = await start(await prepare())
      await hypervisor.stop(vm, {signal: signal(), timeoutMs: 0})
      await expectNothingRuns(vm)
    })

    it('destroy ends the VM and gives everything back, once or twice', async () => {
      const vm = await start(await prepare())
      await hypervisor.destroy(vm, {signal: signal()})
      await expectNothingRuns(vm)
      expect((await harness.leftovers?.(vm)) ?? []).toEqual([])
      await hypervisor.destroy(vm, {signal: signal()})
      const neverPrepared = await harness.makeVm()
      await hypervisor.destroy(neverPrepared, {signal: signal()})
      await expectNothingRuns(neverPrepared)
    })

    it('suspend and resume', async (context) => {
      const {suspend, resume} = hypervisor
      if (!suspend || !resume) return context.skip('this backend cannot suspend')
      const vm = await start(await prepare())
      await hypervisor.suspend?.(vm, {signal: signal()})
      expect(await stateOf(vm)).toBe('suspended')
      await hypervisor.resume?.(vm, {signal: signal()})
      expect(await stateOf(vm)).toBe('running')
    })

    it('a suspended VM can be stopped, and destroyed', async (context) => {
      if (!hypervisor.suspend) return context.skip('this backend cannot suspend')
      const vm = await start(await prepare())
      await hypervisor.suspend(vm, {signal: signal()})
      await stop(vm)
      expect(await stateOf(vm)).toBe('stopped')
      await expectNothingRuns(vm)
      await start(vm)
      expect(await stateOf(vm)).toBe('running')
      await hypervisor.suspend(vm, {signal: signal()})
      await hypervisor.destroy(vm, {signal: signal()})
      await expectNothingRuns(vm)
    })

    it('what the guest does is seen while it runs, and only then', async (context) => {
      if (!hypervisor.vitals) return context.skip('this backend does not see what its guests do')
      const vm = await prepare()
      expect(await hypervisor.vitals(vm)).toBeUndefined()
      const started = await start(vm)
      const seen = await hypervisor.vitals(started)
      expect(seen).toBeDefined()
      for (const value of Object.values(seen ?? {})) expect(['number', 'boolean']).toContain(typeof value)
      await stop(started)
      expect(await hypervisor.vitals(started)).toBeUndefined()
    })

    it('observe changes nothing', async () => {
      const vm = await harness.makeVm()
      const look = async (record: Vm): Promise<void> => {
        const before = await contents(record.directory)
        const first = await hypervisor.observe(record)
        const second = await hypervisor.observe(record)
        expect(second).toEqual(first)
        expect(await contents(record.directory)).toEqual(before)
      }
      await look(vm)
      await hypervisor.prepare(vm, {signal: signal()})
      await look(vm)
      const started = await start(vm)
      await look(started)
      await hypervisor.suspend?.(started, {signal: signal()})
      await look(started)
      await stop(started)
      await look(started)
    })

    it('a start that is cancelled leaves nothing that runs, and can be repeated', async () => {
      const vm = await prepare()
      const reason = new Error('cancelled by the test')
      await expect(hypervisor.start(vm, {signal: AbortSignal.abort(reason)})).rejects.toBe(reason)
      await expectNothingRuns(vm)
      for (const delayMs of [0, 1, 5, 20, 50]) {
        const abort = new AbortController()
        const outcome = hypervisor.start(vm, {signal: abort.signal}).then(
          () => 'started',
          (error: unknown) => error,
        )
        await sleep(delayMs)
        abort.abort(reason)
        if ((await outcome) === 'started') await stop(vm)
        else expect(await outcome).toBe(reason)
        await expectNothingRuns(vm)
      }
      expect(await stateOf(await start(vm))).toBe('running')
    })

    it('a process that is killed is seen, and the VM can be started again', async (context) => {
      const vm = await start(await prepare())
      const {pid} = await hypervisor.observe(vm)
      if (pid === undefined) return context.skip('this backend has no process')
      process.kill(pid, 'SIGKILL')
      while ((await stateOf(vm)) === 'running') await sleep(5)
      expect(await stateOf(vm)).toBe('stopped')
      await expectNothingRuns(vm)
      await start(vm)
      const again = await hypervisor.observe(vm)
      expect(again.state).toBe('running')
      expect(again.pid).not.toBe(pid)
    })

    it('two VMs do not disturb each other', async () => {
      const makeNamed = async (name: string): Promise<Vm> => {
        const {spec} = await harness.makeVm()
        return start(await prepare({name, spec: {...spec, name}}))
      }
      const [left, right] = await Promise.all([makeNamed('left'), makeNamed('right')])
      const [one, two] = [await hypervisor.observe(left), await hypervisor.observe(right)]
      expect([one.state, two.state]).toEqual(['running', 'running'])
      if (one.pid !== undefined) expect(one.pid).not.toBe(two.pid)
      if (one.macAddress !== undefined) expect(one.macAddress).not.toBe(two.macAddress)
      await hypervisor.destroy(left, {signal: signal()})
      expect(await hypervisor.observe(right)).toEqual(two)
      await hypervisor.suspend?.(right, {signal: signal()})
      await expectNothingRuns(left)
      await stop(right)
      await expectNothingRuns(right)
    })

    it('a process of somebody else is never taken for the VM, and never signalled', async (context) => {
      if (!harness.forge) return context.skip('this backend keeps no records of processes')
      const vm: Vm = {...(await prepare()), phase: 'started'}
      const stranger = await harness.forge(vm)
      const isAlive = (): boolean => process.kill(stranger.pid, 0)
      expect(await hypervisor.observe(vm)).toMatchObject({state: 'stopped'})
      expect((await hypervisor.observe(vm)).pid).toBeUndefined()
      await stop(vm)
      expect(isAlive()).toBe(true)
      await harness.forge(vm)
      await start(vm)
      expect((await hypervisor.observe(vm)).pid).not.toBe(stranger.pid)
      expect(isAlive()).toBe(true)
      await stop(vm)
      await harness.forge(vm)
      await hypervisor.destroy(vm, {signal: signal()})
      expect(isAlive()).toBe(true)
    })

    it('without a network there is no address', async () => {
      const {spec} = await harness.makeVm()
      const vm = await start(await prepare({spec: {...spec, network: {type: 'none'}}}))
      expect(await hypervisor.sshAddress(vm, {signal: signal()})).toBeUndefined()
      await expect(hypervisor.dial(vm, 22, {signal: signal()})).rejects.toMatchObject({code: 'vmctl::backend::not_available'})
    })

    it('a console that is offered can be opened while the VM runs', async (context) => {
      if (!hypervisor.console) return context.skip('this backend has no console')
      const vm = await start(await prepare())
      const stream = await hypervisor.console(vm, {signal: signal()})
      expect(stream.writable && stream.readable).toBe(true)
      stream.destroy()
      expect(hypervisor.consoleEndpoint?.(vm).type).not.toBe('none')
    })

    test('every skipped test exists', () => {
      expect(skip.flatMap(({tests}) => tests).filter((name) => !names.has(name))).toEqual([])
    })
  })
}

/** Which file each name stands for; records may be rewritten. */
const inodes = async (directory: string): Promise<string[]> => {
  const entries = (await readdir(directory)).filter((name) => !name.endsWith('.json'))
  return Promise.all(entries.toSorted().map(async (name) => `${name} ${(await stat(join(directory, name))).ino}`))
}

/** Names of all files, with the text of the records. */
const contents = async (directory: string): Promise<string[]> => {
  const entries = await readdir(directory)
  return Promise.all(
    entries.toSorted().map(async (name) => (name.endsWith('.json') ? `${name} ${await readFile(join(directory, name), 'utf8')}` : name)),
  )
}

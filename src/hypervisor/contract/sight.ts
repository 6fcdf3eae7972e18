import {readdir, readFile, stat} from 'node:fs/promises'
import {basename, join} from 'node:path'

import {expect} from 'vitest'

import {vmFiles} from '../../model/layout.ts'
import type {Vm} from '../../model/vm.ts'
import {type It, signal} from './bench.ts'

/** What is seen of a VM from outside, and that nothing else is taken for it. */
export const testSight = (it: It): void => {
  it('it can run here, and accepts the spec', async ({harness, hypervisor}) => {
    expect(hypervisor.name).toMatch(/^[a-z][a-z0-9-]*$/)
    expect(await hypervisor.unavailable()).toBeUndefined()
    const {spec} = await harness.makeVm()
    await hypervisor.check(spec)
  })

  it('a failure on record is the state of a VM at rest', async ({prepare, start, stateOf}) => {
    const vm = await prepare({failure: {operation: 'start', message: 'no', at: '2026-01-01T00:00:00Z'}})
    expect(await stateOf(vm)).toBe('failed')
    expect(await stateOf(await start(vm))).toBe('running')
  })

  it('what the guest does is seen while it runs, and only then', async ({hypervisor, prepare, start, stop}, context) => {
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

  it('observe changes nothing', async ({harness, hypervisor, start, stop}) => {
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

  it('a process of somebody else is never taken for the VM, and never signalled', async ({
    harness,
    hypervisor,
    prepare,
    start,
    stop,
  }, context) => {
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

  it('without a network there is no address', async ({harness, hypervisor, prepare, start}) => {
    const {spec} = await harness.makeVm()
    const vm = await start(await prepare({spec: {...spec, network: {type: 'none'}}}))
    expect(await hypervisor.sshAddress(vm, {signal: signal()})).toBeUndefined()
    await expect(hypervisor.dial(vm, 22, {signal: signal()})).rejects.toMatchObject({code: 'vmctl::backend::not_available'})
  })

  it('a seed is taken before the start, and again while the guest runs, where nothing of the one before is left', async ({
    harness,
    hypervisor,
    prepare,
    start,
    stateOf,
  }, context) => {
    if (!hypervisor.seed) return context.skip('this backend brings no seed')
    const vm = await prepare()
    const documents = (word: string) => ({
      metaData: `instance-id: '${vm.id}'\nlocal-hostname: 'web'\n`,
      userData: `#cloud-config\n# ${word}\n{}\n`,
    })
    await hypervisor.seed(vm, documents('the first, secret'), {signal: signal()})
    const started = await start(vm)
    for (const _again of [1, 2]) await hypervisor.seed(started, documents('the second'), {signal: signal()})
    expect(await stateOf(started)).toBe('running')
    if (!harness.seen) return
    const seen = await harness.seen(started)
    expect(seen).toContain('the second')
    expect(seen).not.toContain('secret')
  })

  it('what the console has shown comes into the directory of the VM, and nothing else does', async ({
    hypervisor,
    prepare,
    start,
  }, context) => {
    if (!hypervisor.fetchConsole) return context.skip('this backend writes the log of the console by itself')
    const vm = await prepare()
    const before = await contents(vm.directory)
    const {consoleLog} = vmFiles(vm.directory)
    const others = (names: readonly string[]) => names.filter((name) => name !== basename(consoleLog))
    await hypervisor.fetchConsole(vm, {signal: signal()})
    expect(others(await contents(vm.directory))).toEqual(before)
    const started = await start(vm)
    await hypervisor.fetchConsole(started, {signal: signal()})
    await stat(consoleLog)
    await hypervisor.destroy(started, {signal: signal()})
    await hypervisor.fetchConsole(started, {signal: signal()})
  })

  it('a console that is offered can be opened while the VM runs', async ({hypervisor, prepare, start}, context) => {
    if (!hypervisor.console) return context.skip('this backend has no console')
    const vm = await start(await prepare())
    const stream = await hypervisor.console(vm, {signal: signal()})
    expect(stream.writable && stream.readable).toBe(true)
    stream.destroy()
  })
}

/** Names of all files, with the text of the records. */
const contents = async (directory: string): Promise<string[]> => {
  const entries = await readdir(directory)
  return Promise.all(
    entries.toSorted().map(async (name) => (name.endsWith('.json') ? `${name} ${await readFile(join(directory, name), 'utf8')}` : name)),
  )
}

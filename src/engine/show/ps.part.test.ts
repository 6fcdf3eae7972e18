import {readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeEach, describe, expect, test} from 'vitest'

import {startNoopLab} from '../../../test/support/noop-lab.ts'
import {useShared} from '../../../test/support/shared.ts'
import {sshdMissing} from '../../../test/support/sshd.ts'
import type {Healthcheck} from '../../model/health.ts'
import type {VmSpec} from '../../model/vm.ts'
import {lockVm} from '../../store/store.ts'
import type {Vmfile} from '../../vmfile/index.ts'
import {converge} from '../converge/converge.ts'
import type {Engine} from '../engine.ts'
import {list} from './inspect.ts'
import {openPs, type PsRow, waitForHealth, watch} from './ps.ts'

const missing = sshdMissing()

describe.skipIf(missing)(`vmctl ps${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  const lab = useShared(startNoopLab)
  let engine: Engine
  beforeEach(async () => {
    lab.clear('a', 'b', 'up')
    engine = await lab.openEngine()
  })

  const check = (line: string, change: Partial<Healthcheck> = {}): Healthcheck => ({
    test: {kind: 'shell', line},
    intervalMs: 1,
    timeoutMs: 10_000,
    retries: 2,
    startPeriodMs: 0,
    ...change,
  })
  const up = async (...vms: readonly VmSpec[]): Promise<Vmfile> => {
    const vmfile = lab.vmfile(...vms)
    await converge(engine, {vmfile, verb: 'up', provision: true})
    return vmfile
  }
  const look = async (vmfile?: Vmfile, names?: readonly string[]): Promise<readonly PsRow[]> => {
    using ps = openPs(engine, {vmfile, ...(names && {names})})
    return await ps.look()
  }

  test('tells of all VMs of the VMFile, whatever state they are in', async () => {
    const port = {protocol: 'tcp', bind: '127.0.0.1', host: 8080, guest: 80} as const
    const web = lab.vm('web', {ports: [port], project: 'shop', service: 'web', diskBytes: 2 ** 30})
    await up(web, lab.vm('broken'), lab.vm('other'))
    writeFileSync(join(lab.workspace.stateDirectory, 'vms/broken/vm.json'), '{')
    expect(await look(lab.vmfile(web, lab.vm('broken'), lab.vm('later')))).toEqual([
      {
        name: 'web',
        project: 'shop',
        service: 'web',
        state: 'running',
        backend: 'noop',
        readiness: 'ready',
        ips: [],
        vcpus: 1,
        memoryMiB: 1024,
        diskBytes: 2 ** 30,
        ports: [port],
      },
      {name: 'broken', state: 'unknown', ips: [], ports: [], error: expect.stringContaining('The record of the VM broken cannot be read')},
      {name: 'later', state: 'destroyed', ips: [], ports: []},
      {
        name: 'other',
        state: 'running',
        backend: 'noop',
        readiness: 'ready',
        ips: [],
        ports: [],
        vcpus: 1,
        memoryMiB: 1024,
        diskBytes: 2 ** 24,
        isOrphan: true,
      },
    ])
    expect((await look()).map(({name}) => name)).toEqual(['broken', 'other', 'web'])
    expect((await look(lab.vmfile(web, lab.vm('later')), ['later'])).map(({name}) => name)).toEqual(['later'])
  })

  test('asks the guests, all at once, without a lock, and writes down what it learns', async () => {
    // Each check passes only while the other one runs.
    const meet = (own: string, other: string): string => `touch ${lab.file(own)}; until [ -e ${lab.file(other)} ]; do sleep 0.02; done`
    const vmfile = await up(lab.vm('one', {healthcheck: check(meet('a', 'b'))}), lab.vm('two', {healthcheck: check(meet('b', 'a'))}))
    expect((await list(engine)).map(({health}) => health)).toEqual(['starting', 'starting'])
    await using _lock = await lockVm(engine.store, 'one', {purpose: 'test', timeoutMs: 0})
    expect(await look(vmfile)).toMatchObject([
      {name: 'one', health: 'healthy', failures: 0},
      {name: 'two', health: 'healthy'},
    ])
    expect((await list(engine)).map(({health}) => health)).toEqual(['healthy', 'healthy'])
  })

  test('failures add up over looks, until they are enough; a stop ends the story', async () => {
    const vmfile = await up(lab.vm('web', {healthcheck: check(`test -e ${lab.file('up')} || { echo it is down; exit 1; }`)}))
    writeFileSync(lab.file('up'), '')
    expect(await look(vmfile)).toMatchObject([{health: 'healthy', failures: 0, retries: 2}])
    rmSync(lab.file('up'))
    expect(await look(vmfile)).toMatchObject([{health: 'healthy', failures: 1, output: 'it is down'}])
    expect(await look(vmfile)).toMatchObject([{health: 'unhealthy', failures: 2}])
    await converge(engine, {vmfile, verb: 'down', provision: false})
    expect((await look(vmfile))[0]).not.toHaveProperty('health')
    await converge(engine, {vmfile, verb: 'up', provision: true})
    expect((await list(engine))[0]).toMatchObject({health: 'starting'})
  })

  test('a guest that does not answer is starting before it was ever reached, and fails the check afterwards', async () => {
    const vmfile = await up(lab.vm('web', {healthcheck: check('true')}))
    const mute = await lab.openEngine({env: {VMCTL_NOOP_SSH: '127.0.0.1:9'}})
    const lookMute = async (): Promise<readonly PsRow[]> => {
      using ps = openPs(mute, {vmfile}, {connectMs: 300})
      return await ps.look()
    }
    expect(await lookMute()).toMatchObject([{state: 'running', health: 'starting', failures: 0}])
    await look(vmfile)
    expect(await lookMute()).toMatchObject([{health: 'healthy', failures: 1, output: 'SSH did not answer within 0.3 s.'}])
  })

  test('--wait is over when all are healthy, and says who is not when the time is up', async () => {
    const vmfile = await up(lab.vm('web', {healthcheck: check(`test -e ${lab.file('up')} || { echo not yet; exit 1; }`)}), lab.vm('db'))
    using ps = openPs(engine, {vmfile})
    await expect(waitForHealth(engine, ps, {timeoutMs: 0})).rejects.toMatchObject({
      code: 'vmctl::guest::health_timed_out',
      message: expect.stringContaining('  web is starting: not yet'),
    })
    let looks = 0
    const rows = await waitForHealth(engine, ps, {
      timeoutMs: 30_000,
      onRows: () => {
        if (++looks === 2) writeFileSync(lab.file('up'), '')
      },
    })
    expect(rows).toMatchObject([{name: 'web', health: 'healthy'}, {name: 'db'}])
    expect(looks).toBe(3)
  })

  test('watch looks until it is interrupted, over one connection to each guest', async () => {
    const log = lab.file('a')
    const vmfile = await up(lab.vm('web', {healthcheck: check(`echo "$SSH_CONNECTION" >>${log}`)}))
    const controller = new AbortController()
    const watched = await lab.openEngine({signal: controller.signal})
    using ps = openPs(watched, {vmfile})
    let looks = 0
    await watch(watched, ps, {
      everyMs: 1,
      onRows: () => {
        if (++looks === 3) controller.abort()
      },
    })
    const connections = readFileSync(log, 'utf8').trim().split('\n')
    expect(connections).toHaveLength(3)
    expect(new Set(connections).size).toBe(1)
  })
})
